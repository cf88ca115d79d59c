package steps

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestCreateLeavesNothingBehindWhereTheSecretMayNotBeMade(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"} // a name that the lab cleans up
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "CreateSecret" && !c.Done {
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		if _, err := l.env.ExecuteActivity(rotation.CreateAccount, in); err != nil {
			t.Fatal(err)
		}
		if _, err := l.env.ExecuteActivity(rotation.StoreSecret, in); err == nil {
			t.Fatal("a secret was created against the policy")
		}
		if left := l.accounts(name.User); len(left) != 0 {
			t.Errorf("%v was left behind with an unknown password", left)
		}
		l.sm.Intercept(nil)
		in.VersionID = uuid.NewString()
		for _, step := range []string{rotation.CreateAccount, rotation.CreateAccount, rotation.StoreSecret, rotation.StoreSecret, rotation.CreateAccount} {
			if _, err := l.env.ExecuteActivity(step, in); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
		if _, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"}); err != nil {
			t.Error(err)
		}
	})
}

// A creation was cut off between the secret and the account's password, and another workflow starts
// it again.
func TestACreationThatWasCutOffNamesTheWayOut(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"} // a name that the lab cleans up
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		if _, err := l.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new"), ClientRequestToken: &in.VersionID, SecretString: aws.String("{}")}); err != nil {
			t.Fatal(err)
		}
		in.VersionID = uuid.NewString()
		_, err := l.env.ExecuteActivity(rotation.CreateAccount, in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != rotation.ErrorSecretExists || !strings.Contains(app.Message(), "--force-delete-without-recovery") {
			t.Fatalf("CreateAccount answered %v: want the way out", err)
		}
		if _, err := l.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("new"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{rotation.CreateAccount, rotation.StoreSecret} {
			if _, err := l.env.ExecuteActivity(step, in); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
		if _, err := l.env.ExecuteActivity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"}); err != nil {
			t.Error(err)
		}
	})
}

// A step of a creation that ended long ago is repeated, for example after a reset of its workflow.
func TestALateStoreSecretTakesNoPasswordFromAnAccountInUse(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"}
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		l.sql("ALTER USER " + name.String() + " IDENTIFIED BY 'In.Use-1' ACCOUNT UNLOCK")
		before := l.snapshot()
		_, err := l.env.ExecuteActivity(rotation.StoreSecret, in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.NotOurs || !app.NonRetryable() {
			t.Errorf("StoreSecret answered %v: want an error that the account is not the secret's", err)
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused step changed something:\n%s", diff)
		}
		if _, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("new")}); err == nil {
			t.Error("the refused step created a secret")
		}
	})
}

// A worker dies before it can report that it has created the secret. The next attempt is told at first that there is none.
func TestAStoreSecretThatIsRepeatedReadsNoOldAnswer(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: grants.Name{User: l.user + "_clone", Host: "%"},
			Grants: []string{"SELECT ON *.*"}, VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		l.activity(rotation.StoreSecret, in)
		var looks atomic.Int32
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "DescribeSecret" && c.SecretID == "new" && !c.Done && looks.Add(1) == 1 {
				return endpoint.Fault{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
			}
			return endpoint.Fault{}
		})
		next := l.another()
		if _, err := next.env.ExecuteActivity(rotation.StoreSecret, in); err != nil || looks.Load() == 0 {
			t.Errorf("StoreSecret answered %v after %d looks", err, looks.Load())
		}
		l.activity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "new"})
	})
}

// A step of the creation is repeated late, after a deletion has locked the account.
func TestALateStoreSecretUnlocksNoAccount(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		name := grants.Name{User: l.user + "_clone", Host: "%"}
		in := rotation.CreateAccountInput{SecretID: "new", MasterSecretID: "master", Account: name, Grants: []string{"SELECT ON *.*"},
			VersionID: uuid.NewString()}
		l.activity(rotation.CreateAccount, in)
		l.activity(rotation.StoreSecret, in)
		l.settle()
		l.activity(rotation.StoreSecret, in)
		l.sql("ALTER USER " + name.String() + " ACCOUNT LOCK")
		_, err := l.env.ExecuteActivity(rotation.StoreSecret, in)
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.NotOurs || len(l.locked()) != 1 {
			t.Errorf("StoreSecret answered %v, and locked are %v: want that it refuses and unlocks nothing", err, l.locked())
		}
	})
}
