package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rotate-user/rotate-user/rotation"
)

// formatFlag is the flag --output of a command that has some of the formats.
type formatFlag struct {
	value   *format
	formats []format
}

func (f formatFlag) String() string {
	if f.value == nil {
		return ""
	}
	return string(*f.value)
}

func (f formatFlag) Type() string { return f.names("|") }

func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.formats, format(s)) {
		return errors.New("must be one of " + f.names(", "))
	}
	*f.value = format(s)
	return nil
}

func (f formatFlag) names(between string) string {
	var all []string
	for _, format := range f.formats {
		all = append(all, string(format))
	}
	return strings.Join(all, between)
}

// secretFlag adds the flag that names the secret. The secret can be an argument instead.
func secretFlag(cmd *cobra.Command, secretID *string) {
	cmd.Flags().StringVar(secretID, "secret-id", "", "name or ARN of the user's secret; can be an argument instead")
	cmd.Use += " [SECRET]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return fmt.Errorf("got %d arguments, but a command takes only one secret: %q", len(args), args)
		case len(args) == 0 && *secretID == "":
			return fmt.Errorf("name the secret, as in: %s --secret-id MySecret", cmd.CommandPath())
		case len(args) == 0:
			return nil
		case cmd.Flags().Changed("secret-id") && *secretID != args[0]:
			return fmt.Errorf("two different secrets, %q and %q: name one of them", *secretID, args[0])
		}
		*secretID = args[0]
		return nil
	}
}

// days is the value of a flag that counts whole days.
type days int

func (d *days) String() string { return strconv.Itoa(int(*d)) }

func (d *days) Type() string { return "days" }

func (d *days) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("must be a whole number of days without a unit, such as 30")
	}
	*d = days(n)
	return nil
}

func required(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // the flag does not exist
	}
}

func activityQueueFlag(cmd *cobra.Command, queue *string) {
	cmd.Flags().StringVar(queue, "activity-task-queue", "",
		"task queue for the steps, if the worker that reaches the database is on another one")
}

// endpointsFlag adds the flags for endpoints and proxies that must accept a new credential before
// it is promoted.
func endpointsFlag(cmd *cobra.Command, input *rotation.RotateUserInput) {
	cmd.Flags().StringSliceVar(&input.TestEndpoints, "test-endpoints", nil,
		"further endpoints as `host:port`, such as replicas, that must accept a new credential before it is promoted")
	cmd.Flags().StringSliceVar(&input.ProxySecretIDs, "proxy-secret-ids", nil,
		"names or ARNs of two secrets that a proxy such as RDS Proxy logs in with, one for each account of the pair; they are kept in step")
}

// pairFlags adds the flags of a command that reads both accounts of a pair.
func pairFlags(cmd *cobra.Command, input *rotation.RotateUserInput) {
	flags := cmd.Flags()
	flags.StringVar(&input.MasterSecretID, "master-secret-id", "",
		"name or ARN of the master secret (default: the one of the running rotation, or \"masterarn\" in the secret)")
	masterServerFlags(flags, &input.MasterServer)
	flags.StringVar(&input.CloneUsername, "clone-username", "", "user name of the other account of the pair (default: <user>_clone)")
}

// masterServerFlags adds the flags for a master secret that does not name its server, and that RDS does not manage.
func masterServerFlags(flags *pflag.FlagSet, s *rotation.MasterServer) {
	flags.StringVar(&s.MasterHost, "master-host", "", "host on which the administrator logs in, "+
		"if the master secret has neither a host nor the tags of RDS; needs --master-port and --master-engine")
	flags.IntVar(&s.MasterPort, "master-port", 0, "`port` of --master-host")
	flags.StringVar(&s.MasterEngine, "master-engine", "", "mysql, mariadb or aurora-mysql")
}
