package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
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
				c.command([]string{"starter", "create", "--secret-id", userSecret, "--master-secret-id", stack.MasterSecret,
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

// running is a stack with its worker.
type running struct {
	*stack.Stack
	worker *stack.Worker
	bin    string
}

// run starts the stack and a worker, hands them to f, and stops everything when f returns.
func run(ctx context.Context, c console, o stack.Options, f func(context.Context, running) error) (err error) {
	root, err := resolve(&o)
	if err != nil {
		return err
	}
	c.printf("Building the worker and the starter ...\n")
	bin, err := stack.Build(ctx, root, o.Dir)
	if err != nil {
		return err
	}
	c.printf("Starting Temporal, Secrets Manager, the database and the worker ...\n")
	s, err := stack.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := s.Stop(); err == nil {
			err = stopErr
		}
	}()
	r := running{Stack: s, bin: bin}
	if r.worker, err = s.StartWorker(ctx, filepath.Join(bin, "worker"), "worker"); err != nil {
		return err
	}
	forget, err := r.writeEnvironment()
	if err != nil {
		return err
	}
	defer forget()
	return f(ctx, r)
}

// stay returns when the user has seen enough, or with an error when the worker has ended.
func (r running) stay(ctx context.Context, c console) error {
	c.printf("\n%s\n", c.style(dim, "Up until Ctrl-C; logs are in "+stateDir+"/"))
	select {
	case <-ctx.Done():
	case <-r.worker.Done():
		if ctx.Err() == nil { // Ctrl-C goes to the worker as well
			return fmt.Errorf("the worker has ended; see %s", r.worker.LogFile)
		}
	}
	c.printf("\nStopping ...\n")
	return nil
}

// parts lists what runs and where.
func (r running) parts() [][2]string {
	var rows [][2]string
	add := func(name, value string) { rows = append(rows, [2]string{name, value}) }
	for _, v := range r.Variables() {
		switch v.Name {
		case "TEMPORAL_ADDRESS":
			add("Temporal", v.Value)
		case "AWS_ENDPOINT_URL_SECRETS_MANAGER":
			add("Secrets Manager", v.Value)
		}
	}
	if r.Temporal != nil && r.Temporal.UIURL() != "" {
		add("Temporal UI", r.Temporal.UIURL())
		add("failing there", r.failing())
	}
	add("database", fmt.Sprintf("%s:%d, %s %s, administrator %s", r.Host, r.Port, r.Engine, r.Version, r.Admin))
	add("worker", "pid "+strconv.Itoa(r.worker.Pid())+", metrics at "+r.worker.MetricsURL)
	return rows
}

// failing is the page of the Temporal UI that lists the rotations that have failed or are repeating a step, which otherwise
// look like all others: their workflows run.
func (r running) failing() string {
	query := "WorkflowType = 'RotateUserWorkflow' AND ExecutionStatus = 'Running' AND RotationStatus IN ('Failed', 'Retrying')"
	return r.Temporal.UIURL() + "/namespaces/" + temporal.Namespace + "/workflows?query=" + url.QueryEscape(query)
}

// writeEnvironment writes .devstack/env for the shell, and beside it an option file for mysql, which holds the
// administrator's password and is readable by its owner only. Both are of use only while the stack is up; forget removes
// them, unless another stack has written its own in their place.
func (r running) writeEnvironment() (forget func(), err error) {
	options := filepath.Join(r.Dir, "my.cnf")
	files := map[string]string{options: r.OptionFile()}
	var env strings.Builder
	env.WriteString("# For the shell:  . " + stateDir + "/env\n")
	variables := append(r.Variables(),
		stack.Variable{Name: "MYSQL_HOST", Value: r.Host},
		stack.Variable{Name: "MYSQL_TCP_PORT", Value: strconv.Itoa(r.Port)},
		stack.Variable{Name: "MYSQL_OPTION_FILE", Value: options},
	)
	for _, v := range variables {
		fmt.Fprintf(&env, "export %s=%s\n", v.Name, shellQuote(v.Value))
	}
	fmt.Fprintf(&env, "export PATH=%s:\"$PATH\"\n", shellQuote(r.bin))
	env.WriteString("# The database's administrator:  mysql --defaults-file=\"$MYSQL_OPTION_FILE\"\n")
	files[filepath.Join(r.Dir, "env")] = env.String()
	for path, text := range files {
		if err := writePrivate(path, text); err != nil {
			return nil, err
		}
	}
	return func() {
		for path, text := range files {
			if found, err := os.ReadFile(path); err == nil && string(found) == text {
				_ = os.Remove(path)
			}
		}
	}, nil
}

func writePrivate(path, text string) error {
	// An existing file would keep its mode.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
