package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
)

// stateDir is the directory in the repository for logs, binaries and settings.
const stateDir = ".devstack"

// running is a stack with its worker.
type running struct {
	*stack.Stack
	worker *stack.Worker
	bin    string
}

// run starts the stack and a worker, calls f with them, and stops everything when f returns.
func run(ctx context.Context, c console, o stack.Options, f func(context.Context, running) error) (err error) {
	root, err := resolve(ctx, &o)
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

// stay returns when the user presses Ctrl-C, or with an error when the worker has exited.
func (r running) stay(ctx context.Context, c console) error {
	c.printf("\n%s\n", c.style(dim, "Up until Ctrl-C; logs are in "+stateDir+"/"))
	select {
	case <-ctx.Done():
	case <-r.worker.Done():
		if ctx.Err() == nil {
			return fmt.Errorf("the worker has exited: see %s", r.worker.LogFile)
		}
	}
	c.printf("\nStopping ...\n")
	return nil
}

// parts lists the parts that are running, and where.
func (r running) parts() [][2]string {
	var rows [][2]string
	add := func(name, value string) { rows = append(rows, [2]string{name, value}) }
	for _, v := range r.Variables() {
		switch v.Name {
		case "TEMPORAL_ADDRESS":
			add("Temporal", v.Value)
		case "AWS_ENDPOINT_URL_SECRETS_MANAGER":
			add("Secrets Manager", v.Value)
		case "AWS_ENDPOINT_URL_RDS":
			add("RDS", v.Value)
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

// failing returns the page of the Temporal UI that lists the rotations that have failed or are
// retrying a step. Otherwise these look like all the others, because their workflows are running.
func (r running) failing() string {
	query := "WorkflowType = 'RotateUserWorkflow' AND ExecutionStatus = 'Running' AND RotationStatus IN ('Failed', 'Retrying')"
	return r.Temporal.UIURL() + "/namespaces/" + temporal.Namespace + "/workflows?query=" + url.QueryEscape(query)
}

// starterCommand returns the starter with arguments, to be run in the environment of .devstack/env.
func (r running) starterCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "starter"), args...)
	cmd.Env = r.Environment()
	return cmd
}

// resolve fills in what does not come from flags.
func resolve(ctx context.Context, o *stack.Options) (root string, err error) {
	if root, err = stack.Repository(ctx); err != nil {
		return "", err
	}
	o.Dir = filepath.Join(root, stateDir)
	o.MySQLAdminPassword = os.Getenv("MYSQL_ADMIN_PASSWORD")
	if o.DataDir != "" && !filepath.IsAbs(o.DataDir) {
		// The command runs in devstack/, but users usually type paths relative to the repository's
		// root.
		o.DataDir = filepath.Join(root, o.DataDir)
	}
	return root, nil
}
