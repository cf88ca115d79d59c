// Devstack runs everything that rotate-user needs on a laptop, and shows what it does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "devstack",
		Short: "Everything that rotate-user needs, on a laptop",
		Long: `Everything that rotate-user needs, on a laptop: a Temporal server with its UI, a Secrets Manager endpoint, a private MySQL or
MariaDB server, and the worker. Each part can be replaced by a real one.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newDemoCommand(), newUpCommand(), newRecordCommand(), newChaosCommand(), newDocsCommand())
	return root
}

// addStackFlags adds the flags that select the parts of the stack, and returns their values.
func addStackFlags(cmd *cobra.Command) *stack.Options {
	o := &stack.Options{}
	f := cmd.Flags()
	f.StringVar(&o.TemporalAddress, "temporal-address", "", "use the Temporal server at this host:port, with the TEMPORAL_... variables")
	f.IntVar(&o.TemporalPort, "temporal-port", 7233, "port of our own Temporal server; 0 for a free one")
	f.IntVar(&o.UIPort, "ui-port", 8233, "port of its UI; 0 for none")
	f.StringVar(&o.SecretsManagerEndpoint, "secretsmanager-endpoint", "",
		`use the Secrets Manager at this URL, or "aws" for AWS, with the AWS_... variables`)
	f.IntVar(&o.SecretsManagerPort, "secretsmanager-port", 4584, "port of our own Secrets Manager endpoint; 0 for a free one")
	f.DurationVar(&o.SecretsManagerLag, "lag", 0, "how far reads of our own Secrets Manager endpoint lag behind its writes, as with AWS")
	f.IntVar(&o.SecretsManagerWrites, "writes-per-second", 0,
		"how many writes per second our own Secrets Manager endpoint accepts, 50 as with AWS; it throttles others (default: any number)")
	f.StringVar(&o.MySQLAddress, "mysql-address", "", "use the database server at this host:port, with the CA in ROTATE_USER_TLS_CA_FILE")
	f.StringVar(&o.MySQLAdminUser, "mysql-admin-user", "", "its administrator, with the password in MYSQL_ADMIN_PASSWORD")
	f.IntVar(&o.MySQLPort, "mysql-port", 13306, "port of our own database server; 0 for a free one")
	f.StringVar(&o.Mysqld, "mysqld", "", "our own database server: mysql, mariadb or a path (default: the first one found)")
	f.BoolVar(&o.ManagedMaster, "managed-master", false,
		"have RDS manage the administrator's credential, as in AWS's tutorial, in a secret without a server")
	f.DurationVar(&o.RotateMasterEvery, "rotate-master-every", 0, "how often RDS changes that administrator's password (default: never)")
	f.StringVar(&o.DataDir, "data-dir", "", "keep the state of all parts in this directory (default: keep nothing)")
	return o
}
