// Bench measures what a rotation costs, and compares it with the least that any rotation of the
// same kind can cost: on a real database with TLS, and with the stack's Secrets Manager endpoint
// and Temporal server, or with others. Things that are compared are measured in turns, so that a
// busy machine slows all of them down.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say what to measure, on which servers, and how often.
type options struct {
	stack stack.Options

	rounds   int // for what is measured one at a time
	secrets  int // of a mass rotation
	sleeping int // secrets
	plans    int // secrets that are planned together
	output   string
	profile  string
	latency  time.Duration // added to each call of our own Secrets Manager endpoint
	// baseline is a revision whose worker is measured as well; if empty, none is. quota is the limit of writes per second.
	baseline string
	quota    int
	// awsFunction is the file of AWS's rotation function; if empty, it is not measured.
	awsFunction string
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:               "bench",
		Short:             "Measure what a rotation costs",
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.IntVar(&o.rounds, "rounds", 100, "how often to measure what is measured one at a time")
	f.IntVar(&o.secrets, "secrets", 500, "secrets of a mass rotation")
	f.IntVar(&o.sleeping, "sleeping", 10000, "sleeping secrets to measure the worker with; 0 skips this part")
	f.IntVar(&o.plans, "plans", 1000, "secrets to plan with one command, next to plans of single secrets; 0 skips this part")
	f.StringVar(&o.output, "output", "bench.json", "write the figures to this file")
	f.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles to this directory: of the activities in a row, and of the worker in a mass rotation")
	f.StringVar(&o.baseline, "baseline", "",
		"measure the worker of this git revision as well, where a quota of writes decides: a mass rotation that revokes")
	f.IntVar(&o.quota, "writes-per-second", 50, "that quota, as our own Secrets Manager endpoint keeps it")
	f.StringVar(&o.awsFunction, "aws-function", "", "measure AWS's rotation function as well: the lambda_function.py of SecretsManagerRDSMySQLRotationMultiUser in github.com/aws-samples/aws-secrets-manager-rotation-lambdas; needs python3 with boto3 and pymysql")
	f.StringVar(&o.stack.TemporalAddress, "temporal-address", "", "use the Temporal server at this host:port, with the TEMPORAL_... variables")
	f.StringVar(&o.stack.SecretsManagerEndpoint, "secretsmanager-endpoint", "", `use the Secrets Manager at this URL, or "aws" for AWS, with the AWS_... variables`)
	f.DurationVar(&o.latency, "secretsmanager-latency", 0, "delay each call of our own endpoint by this time, as a network would")
	f.StringVar(&o.stack.MySQLAddress, "mysql-address", "", "use the database server at this host:port, with the CA in ROTATE_USER_TLS_CA_FILE")
	f.StringVar(&o.stack.MySQLAdminUser, "mysql-admin-user", "", "its administrator, with the password in MYSQL_ADMIN_PASSWORD")
	f.StringVar(&o.stack.Mysqld, "mysqld", "", "our own database server: mysql, mariadb or a path (default: MySQL where it is installed)")
	cmd.AddCommand(newSimulateCommand(), newStatementsCommand())
	return cmd
}

// run builds what is measured, measures it, and writes the figures.
func (o *options) run(cmd *cobra.Command) error {
	root, err := stack.Repository(cmd.Context())
	if err != nil {
		return err
	}
	o.stack.Dir = filepath.Join(root, ".devstack", "bench")
	o.stack.MySQLAdminPassword = os.Getenv("MYSQL_ADMIN_PASSWORD")
	if installed := func(p mysqld.Program) bool { return p.Engine == mysqld.MySQL }; o.stack.Mysqld == "" && slices.ContainsFunc(mysqld.Find(), installed) {
		o.stack.Mysqld = mysqld.MySQL // like the figures of AWS's function
	}
	// The command runs in devstack/, but paths are usually given relative to the root.
	for _, path := range []*string{&o.output, &o.profile, &o.awsFunction} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(root, *path)
		}
	}
	if err := os.RemoveAll(o.stack.Dir); err != nil {
		return err
	}
	var tags []string
	if o.profile != "" {
		if err := errors.Join(os.MkdirAll(o.profile, 0o755), os.Setenv("PROFILE_DIR", o.profile)); err != nil {
			return err
		}
		tags = append(tags, "profile")
	}
	bin, err := build(cmd.Context(), root, o.stack.Dir, tags...)
	if err != nil {
		return err
	}
	var baseline, revision string
	if o.baseline != "" {
		if baseline, revision, err = buildBaseline(cmd.Context(), root, o.stack.Dir, o.baseline); err != nil {
			return err
		}
	}
	r, err := measure(cmd.Context(), *o, bin, baseline, revision, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	return r.write(cmd.OutOrStdout(), o.output)
}

// build builds the worker and noop into one directory.
func build(ctx context.Context, root, dir string, tags ...string) (string, error) {
	bin, err := stack.Build(ctx, root, dir, tags...)
	if err != nil {
		return "", err
	}
	noop := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "devstack"), "-o", bin+string(filepath.Separator), "./bench/noop")
	if out, err := noop.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./bench/noop: %w\n%s", err, out)
	}
	return bin, nil
}

// measure starts a stack, measures everything on it, and stops it.
func measure(ctx context.Context, o options, bin, baseline, revision string, progress io.Writer) (_ *report, err error) {
	b, err := newBench(ctx, o, bin, progress)
	if err != nil {
		return nil, err
	}
	b.baselineBin, b.baselineName = baseline, revision
	defer func() { err = errors.Join(err, b.close()) }()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"making users and secrets", b.prepare},
		{"counting", b.count},
		{"one at a time, in turns", b.oneAtATime},
		{"many at once, in turns", b.manyAtOnce},
		{"leaked secrets against the quota, in turns with the baseline", b.againstQuota},
		{"a worker's death", b.recover},
		{"a restart of Temporal's server", b.restartTemporal},
		{"a failover of the database", b.failOver},
		{"plans of many secrets, in turns with single ones", b.planAll},
		{"an hour of denials, simulated", b.denials},
		{"emergencies beside a server that does not answer", b.besideFrozen},
		{"sleeping secrets", b.sleep},
	} {
		fmt.Fprintf(progress, "%s ...\n", part.name)
		if err := part.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return &b.report, nil
}

// write prints the table and writes the figures.
func (r *report) write(w io.Writer, file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, r.table()); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
