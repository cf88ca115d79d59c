package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

func newUpCommand() *cobra.Command {
	var o *stack.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything and stay up until Ctrl-C",
		Long: `Start everything and stay up until Ctrl-C. What starter, temporal, aws and mysql need to reach it is written to .devstack/env
as shell variables.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newConsole(cmd.OutOrStdout())
			return run(cmd.Context(), c, *o, func(ctx context.Context, r running) error {
				c.printf("\n")
				c.rows(r.parts())
				c.printf("\n")
				c.say("In another terminal, from the root of the repository:")
				c.command([]string{".", stateDir + "/env"})
				c.command([]string{"starter", "create", "--secret-id", userSecret, "--master-secret-id", r.MasterID,
					"--username", userName, "--grant", userGrant})
				c.command([]string{"starter", "start", "--secret-id", userSecret})
				c.command([]string{"starter", "status", "--secret-id", userSecret})
				return r.stay(ctx, c)
			})
		},
	}
	o = addStackFlags(cmd)
	return cmd
}
