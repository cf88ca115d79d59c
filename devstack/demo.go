package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
)

// The names in AWS's tutorial.
const (
	userSecret = "MyTestDatabaseUserSecret"
	userName   = "mytestuser"
	userGrant  = "SELECT ON *.*"
	cloneName  = userName + "_clone"
)

func newDemoCommand() *cobra.Command {
	var o *stack.Options
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Walk through the tutorial: watch a user's password rotate twice",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newConsole(cmd.OutOrStdout())
			if !cmd.Flags().Changed("managed-master") { // as in AWS's tutorial, unless it needs a part that is not ours
				o.ManagedMaster = o.MySQLAddress == "" && o.SecretsManagerEndpoint == ""
			}
			return run(cmd.Context(), c, *o, func(ctx context.Context, r running) error {
				t := &tutorial{running: r, console: c}
				if err := t.walk(ctx); err != nil || once {
					return err
				}
				t.showAround()
				return r.stay(ctx, c)
			})
		},
	}
	o = addStackFlags(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "exit after the last step, with status 1 if a check failed")
	return cmd
}

// tutorial walks through AWS's tutorial "rotating a user secret with a master secret". It uses the
// starter, as an operator would, and checks the result with the AWS SDK and with logins, as an
// application would.
type tutorial struct {
	running
	console
	users  []string // users of AWSCURRENT, after each check
	kept   bool     // user and secret exist from an earlier run
	failed int
}

func (t *tutorial) walk(ctx context.Context) error {
	if err := t.steps(ctx, t.database, t.create, t.validate); err != nil {
		return err
	}
	// An application that does not know about rotations.
	appCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan stack.Logins, 1)
	go func() { ended <- t.UseSecret(appCtx, userSecret, nil) }()
	err := t.steps(ctx, t.start, t.verify)
	stop()
	logins := <-ended
	if err != nil {
		return err
	}
	if logins.First == nil {
		t.verdict(true, fmt.Sprintf("Meanwhile, an application read AWSCURRENT and logged in %d times without a failure", logins.Done))
	} else {
		t.verdict(false, fmt.Sprintf("Meanwhile, an application read AWSCURRENT and logged in %d times, and failed %d times: %v",
			logins.Done, logins.Failed, logins.First))
	}
	if t.failed > 0 {
		return fmt.Errorf("%d checks of the tutorial failed", t.failed)
	}
	t.printf("\n%s AWSCURRENT was %s.\n", t.style(green+";"+bold, "Done."), strings.Join(slices.Compact(slices.Clone(t.users)), ", then "))
	return nil
}

func (t *tutorial) steps(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *tutorial) database(ctx context.Context) error {
	t.title(0, "A database with an administrator, whose password RDS keeps in a secret and rotates")
	version, master, err := t.Read(ctx, t.MasterID, "AWSCURRENT")
	if err != nil {
		return err
	}
	t.rows(append(t.parts(), [2]string{"master secret", fmt.Sprintf("%s, version %s", t.MasterID, version)}))
	return t.login(ctx, "AWSCURRENT ", version, master, master.Username)
}

func (t *tutorial) create(ctx context.Context) error {
	t.title(1, "A limited user, and a secret with its credentials")
	_, found, err := t.Read(ctx, userSecret, "AWSCURRENT")
	var missing *types.ResourceNotFoundException
	switch {
	case err == nil:
		t.say("They exist from an earlier run, so this run uses them.")
		t.users, t.kept = append(t.users, found.Username), true
		return nil
	case !errors.As(err, &missing):
		return err
	}
	if err := t.starter(ctx, "create", "--secret-id", userSecret, "--master-secret-id", t.MasterID,
		"--username", userName, "--grant", userGrant); err != nil {
		return err
	}
	return t.look(ctx, userName, "")
}

func (t *tutorial) validate(ctx context.Context) error {
	t.title(2, "Does the stored secret log in?")
	return t.starter(ctx, "validate", "--secret-id", userSecret)
}

func (t *tutorial) start(ctx context.Context) error {
	t.title(3, "Rotate it every 30 days with the master secret, beginning now")
	if err := t.starter(ctx, "start", "--secret-id", userSecret, "--master-secret-id", t.MasterID,
		"--automatically-after-days", "30"); err != nil {
		return err
	}
	current := cloneName
	if t.kept { // starting a workflow that is running changes nothing
		_, c, err := t.Read(ctx, userSecret, "AWSCURRENT")
		if err != nil {
			return err
		}
		current = c.Username
	}
	return t.look(ctx, current, other(current))
}

func (t *tutorial) verify(ctx context.Context) error {
	t.title(4, "Rotate again, and check what the applications get")
	before := t.users[len(t.users)-1]
	if t.Managed != nil {
		t.say("RDS changes the administrator's password, as it does every seven days. No rotation notices.", "")
		if err := t.Managed.Rotate(ctx); err != nil {
			return err
		}
	}
	t.say("Applications may still have the previous credential in their caches, so this is refused without --force.")
	if err := t.starter(ctx, "rotate", "--secret-id", userSecret, "--force"); err != nil {
		return err
	}
	if err := t.look(ctx, other(before), before); err != nil {
		return err
	}
	return t.starter(ctx, "status", "--secret-id", userSecret)
}

// showAround prints what else can be tried while the stack is up.
func (t *tutorial) showAround() {
	t.printf("\n%s\n", t.style(bold, "Look around"))
	if t.Temporal != nil && t.Temporal.UIURL() != "" {
		t.say("", "In the Temporal UI, you see the rotation's timeline, what it is doing, and what comes next:",
			t.style(cyan, t.Temporal.UIURL()+"/namespaces/"+temporal.Namespace+"/workflows/"+url.PathEscape("rotate-user/"+userSecret)))
		t.say("", "This page lists the rotations that have failed or are retrying a step. There are none now:", t.style(cyan, t.failing()))
	}
	t.say("", "In another terminal, from the root of the repository:")
	t.command([]string{".", stateDir + "/env"})
	for _, args := range [][]string{
		{"status", "--secret-id", userSecret},
		{"rotate", "--secret-id", userSecret, "--force"},
		{"list"},
	} {
		t.command(append([]string{"starter"}, args...))
	}
	t.printf("\n%s\n", t.style(bold, "Clean up"))
	t.say("", "Delete the secret. Its users are locked, and dropped after seven days unless you restore the secret:")
	t.command([]string{"starter", "delete", "--secret-id", userSecret, "--recovery-window-in-days", "7"})
}

// starter runs the starter, and prints the command and its output.
func (t *tutorial) starter(ctx context.Context, args ...string) error {
	t.command(append([]string{"starter"}, args...))
	cmd := t.starterCommand(ctx, args...)
	out := &indented{w: t.w}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("starter %s: %w", args[0], err)
	}
	t.printf("\n")
	return nil
}

// look reads the secret as an application would and compares it with what it should be: which user
// is current, and which was before. Both must log in and have the same rights.
func (t *tutorial) look(ctx context.Context, current, previous string) error {
	version, c, err := t.Read(ctx, userSecret, "AWSCURRENT")
	if err != nil {
		return err
	}
	t.users = append(t.users, c.Username)
	if err := t.login(ctx, "AWSCURRENT ", version, c, current); err != nil {
		return err
	}
	if previous == "" {
		return nil
	}
	if version, c, err = t.Read(ctx, userSecret, "AWSPREVIOUS"); err != nil {
		return err
	}
	return t.login(ctx, "AWSPREVIOUS", version, c, previous)
}

func (t *tutorial) login(ctx context.Context, label, version string, c stack.Credential, user string) error {
	grants, err := t.grants(ctx, c)
	what := fmt.Sprintf("%s  %-*s", label, len(cloneName), c.Username)
	switch {
	case err != nil:
		t.verdict(false, fmt.Sprintf("%s does not log in: %v", what, err))
	case c.Username != user:
		t.verdict(false, fmt.Sprintf("%s  should be %s", what, user))
	case user != userName && user != cloneName: // this is the administrator
		t.verdict(true, what+"  logs in")
	case !slices.Equal(grants, []string{"GRANT " + userGrant}):
		t.verdict(false, fmt.Sprintf("%s  has different rights: %s", what, strings.Join(grants, "; ")))
	default:
		t.verdict(true, fmt.Sprintf("%s  logs in  %s  version %s", what, strings.Join(grants, "; "), version))
	}
	return ctx.Err()
}

func (t *tutorial) verdict(ok bool, text string) {
	t.check(ok, text)
	if !ok {
		t.failed++
	}
}

// grants logs in with a credential and returns its rights, without the grantee.
func (t *tutorial) grants(ctx context.Context, c stack.Credential) ([]string, error) {
	db, err := t.Open(c.Username, c.Password)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var grants []string
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			return nil, err
		}
		// The rest of the line names the user and, on MariaDB, contains the hash.
		grant, _, _ = strings.Cut(grant, " TO ")
		grants = append(grants, grant)
	}
	return grants, rows.Err()
}

func other(user string) string {
	if user == userName {
		return cloneName
	}
	return userName
}
