package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// subject is a user whose password is rotated, with its secret.
type subject struct {
	user, secretID, server string
	// What a workflow knows after a rotation.
	pair            []string
	digest          string
	master          string
	stored          map[string]string
	promotedVersion string
	promotedAt      time.Time
}

// newSubject creates a user with a few rights, and its secret.
func (b *bench) newSubject(ctx context.Context, name string) (*subject, error) {
	s := &subject{user: "b" + b.run + "_" + name, secretID: "bench/" + b.run + "/" + name}
	password := randomText()
	for _, statement := range []string{
		"CREATE USER '" + s.user + "'@'%' IDENTIFIED BY '" + password + "'",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON `bench" + b.run + "`.* TO '" + s.user + "'@'%'",
	} {
		if _, err := b.pool.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("make %s: %w", s.user, err)
		}
	}
	text, err := json.Marshal(stack.Credential{
		Engine: b.Engine, Host: b.Host, Port: b.Port, Username: s.user, Password: password, MasterARN: b.masterID, SSL: true,
	})
	if err != nil {
		return nil, err
	}
	_, err = b.Client.CreateSecret(ctx, &awssm.CreateSecretInput{Name: &s.secretID, SecretString: aws.String(string(text))})
	return s, err
}

// limit does the least that a rotation with a second account can do: read both secrets, store the
// next password, set it, log in with it, move the label.
func (b *bench) limit(ctx context.Context, s *subject) error {
	from, current, err := b.Read(ctx, s.secretID, "AWSCURRENT")
	if err != nil {
		return err
	}
	_, master, err := b.Read(ctx, b.masterID, "AWSCURRENT")
	if err != nil {
		return err
	}
	current.Password = randomText()
	text, err := json.Marshal(current)
	if err != nil {
		return err
	}
	to := uuid.NewString()
	if _, err := b.Client.PutSecretValue(ctx, &awssm.PutSecretValueInput{
		SecretId: &s.secretID, ClientRequestToken: &to, SecretString: aws.String(string(text)), VersionStages: []string{"AWSPENDING"},
	}); err != nil {
		return err
	}
	if err := b.setAndLogIn(ctx, master, current); err != nil {
		return err
	}
	_, err = b.Client.UpdateSecretVersionStage(ctx, &awssm.UpdateSecretVersionStageInput{
		SecretId: &s.secretID, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &from, MoveToVersionId: &to,
	})
	return err
}

// setAndLogIn does the database's share of the limit.
func (b *bench) setAndLogIn(ctx context.Context, master, user stack.Credential) error {
	connected := func(name, password, statement string) error {
		db, err := b.Open(name, password)
		if err != nil {
			return err
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		if statement != "" {
			_, err = conn.ExecContext(ctx, statement)
		}
		return errors.Join(err, conn.Close())
	}
	if err := connected(master.Username, master.Password, "ALTER USER '"+user.Username+"'@'%' IDENTIFIED BY '"+user.Password+"'"); err != nil {
		return err
	}
	return connected(user.Username, user.Password, "")
}

// direct runs the activities without Temporal, with its own connections and caches.
type direct struct {
	*testsuite.TestActivityEnvironment
	a *activities.Activities
}

func (b *bench) newDirect() *direct {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(b.silent)
	d := &direct{
		TestActivityEnvironment: suite.NewTestActivityEnvironment(),
		a: &activities.Activities{
			Secrets: secret.NewStore(b.counted()), Accounts: &account.Dialer{RootCAs: b.roots},
		},
	}
	d.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Interceptor()}})
	d.RegisterActivity(d.a)
	return d
}

// close also removes the staging labels that the rotations have left to be removed.
func (d *direct) close() error {
	d.a.Secrets.TidyNow(context.Background())
	return d.a.Accounts.Close()
}

// rotate calls the five activities in a row, with the input that a workflow would give them.
func (d *direct) rotate(s *subject) error {
	var clone rotation.CloneUserResult
	value, err := d.ExecuteActivity(rotation.CloneUser, rotation.CloneUserInput{
		SecretID: s.secretID, Mark: s.secretID, Pair: s.pair, Digest: s.digest, Force: true,
		Server: s.server, Stored: s.stored, MasterKnown: s.master, PromotedVersionID: s.promotedVersion, PromotedAt: s.promotedAt,
	})
	if err != nil {
		return err
	}
	if err := value.Get(&clone); err != nil {
		return err
	}
	for _, name := range []string{rotation.StagePassword, rotation.SetPassword, rotation.TestPassword, rotation.PromotePassword} {
		value, err := d.ExecuteActivity(name, clone.Rotation)
		if err != nil {
			return err
		}
		if name == rotation.StagePassword {
			var staged rotation.StagePasswordResult
			if err := value.Get(&staged); err != nil {
				return err
			}
			clone.Rotation.ValueSHA256 = staged.ValueSHA256
		}
		if name == rotation.SetPassword {
			var set rotation.SetPasswordResult
			if err := value.Get(&set); err != nil {
				return err
			}
			clone.Rotation.PasswordStored = set.PasswordStored
		}
	}
	s.pair = []string{clone.Rotation.Source.User, clone.Rotation.Standby.User}
	s.digest, s.server, s.master = clone.Digest, clone.Rotation.Server, clone.Rotation.MasterSecretID
	s.promotedVersion, s.promotedAt = clone.Rotation.VersionID, time.Now()
	if s.stored == nil {
		s.stored = map[string]string{}
	}
	s.stored[clone.Rotation.Standby.User] = clone.Rotation.PasswordStored
	return nil
}

// count measures the calls, connections and statements of one rotation of an account in sync, by a
// worker that has just started, and what it leaves in Temporal's history.
func (b *bench) count(ctx context.Context) error {
	s, err := b.newSubject(ctx, "counted")
	if err != nil {
		return err
	}
	for range 4 { // the first one creates the clone, and only the third knows both passwords
		d := b.newDirect()
		if b.report.spent, err = b.spends(ctx, &b.calls, func() error {
			before := b.calls.writes.Load()
			err := d.rotate(s)
			b.report.SMWritesBeforeDone = int(b.calls.writes.Load() - before)
			return errors.Join(err, d.close())
		}); err != nil {
			return err
		}
	}
	if err := b.countSequence(s); err != nil {
		return err
	}
	return b.countHistory(ctx, s)
}

// countSequence finds how many calls of Secrets Manager follow one another in a rotation. Each of them takes long here, compared
// with what is between them.
func (b *bench) countSequence(s *subject) error {
	const slow = 50 * time.Millisecond
	d := b.newDirect()
	b.calls.slow, b.calls.calls = slow, nil
	err := d.rotate(s)
	b.report.SMCallsInSequence, b.calls.slow = b.calls.inSequence(), 0
	return errors.Join(err, d.close())
}

func (b *bench) prepare(ctx context.Context) error {
	_, err := b.pool.ExecContext(ctx, "CREATE DATABASE `bench"+b.run+"`")
	return err
}
