package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/chaos"
	"github.com/rotate-user/rotate-user/devstack/stack"
)

func newChaosCommand() *cobra.Command { //nolint:funlen // a list of flags
	var o chaos.Options
	var keep bool
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break everything on purpose, and check that nothing is lost",
		Long: `Break everything on purpose, while clients log in without pause: workers are killed, frozen and cut off, the database dies,
hangs and fills up, Secrets Manager throttles and loses answers, Temporal restarts, people edit what is being rotated. Each fault
is placed before, during or after one of the outside calls of a rotation. Ends with a report, and with a failure if anything that
is promised did not hold.`,
		DisableFlagParsing: true, // flags may begin with one dash or two, like those of go test
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, arg := range args {
				if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
					args[i] = "-" + arg
				}
			}
			cmd.DisableFlagParsing = false
			if err := cmd.ParseFlags(args); err != nil {
				return err
			}
			if help, err := cmd.Flags().GetBool("help"); help || err != nil {
				return errors.Join(err, cmd.Help())
			}
			if err := cobra.NoArgs(cmd, cmd.Flags().Args()); err != nil {
				return err
			}
			if !slices.Contains([]string{"", chaos.Galera, chaos.GroupReplication}, o.Cluster) {
				return fmt.Errorf("--cluster is %q: galera or group-replication", o.Cluster)
			}
			root, err := stack.Repository(cmd.Context())
			if err != nil {
				return err
			}
			bin, err := stack.Build(cmd.Context(), root, filepath.Join(root, stateDir))
			if err != nil {
				return err
			}
			o.Worker = filepath.Join(bin, "worker")
			if o.Dir, err = os.MkdirTemp("", "chaos-"); err != nil {
				return err
			}
			o.Out = cmd.OutOrStdout()
			report, err := chaos.Run(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("%w; its files are in %s", err, o.Dir)
			}
			fmt.Fprintf(o.Out, "\n%s", report)
			if err := report.Err(); err != nil || keep {
				fmt.Fprintf(o.Out, "its files are in %s\n", o.Dir)
				return err
			}
			return os.RemoveAll(o.Dir)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Rotations, "rotations", 200, "stop after this many rotations")
	f.DurationVar(&o.For, "for", 0, "stop after this time instead")
	f.Uint64Var(&o.Seed, "seed", 1, "seed that decides which faults occur where, and in which order")
	f.IntVar(&o.Lanes, "lanes", 12, "secrets that are rotated in parallel, each with its own workers")
	f.StringVar(&o.Engine, "engine", "", "mysql or mariadb (default: the first one found)")
	f.StringVar(&o.Cluster, "cluster", "", "three nodes behind one address: galera (MariaDB) or group-replication (MySQL) (default: "+
		"one server)")
	f.StringVar(&o.OtherWorker, "other-worker", "", "binary of another release of the worker, to run together with this one")
	f.StringVar(&o.Only, "only", "", "the only kind of fault to inject, by its name in the report")
	f.DurationVar(&o.Lag, "lag", 0, "how far the workers' reads from Secrets Manager lag behind writes, as with AWS")
	f.BoolVar(&keep, "keep", false, "keep the files of the run")
	return cmd
}
