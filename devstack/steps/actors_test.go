package steps

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// putUnder stores a value of the user's secret under the given version id.
func (l *lab) putUnder(id string, fields map[string]any, labels ...string) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("app"), ClientRequestToken: &id, SecretString: aws.String(l.value(fields)), VersionStages: labels,
	}); err != nil {
		l.Fatal(err)
	}
}

// refused runs a step and checks that it is refused with an error of this type.
func (l *lab) refused(name string, r *rotation.StepInput, kind string) {
	l.Helper()
	err := l.step(name, r)
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != kind || !app.NonRetryable() {
		l.Errorf("%s answered %v: want a refusal of type %s", name, err, kind)
	}
}

// An editor who may put versions, but not read them, learns a rotation's id from Temporal.
func TestAVersionThatAnEditorPutUnderTheRotationsIDIsNeverUsed(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		chosen := func(l *lab) map[string]any {
			return map[string]any{"username": l.user + "_clone", "password": "Chosen.Passw0rd1", "masterarn": "master"}
		}
		t.Run("before it is staged", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Pending)
			l.refused(rotation.StagePassword, &r.Rotation, rotation.ErrorTaken)
			for _, name := range []string{rotation.SetPassword, rotation.TestPassword} {
				l.refused(name, &r.Rotation, rotation.ErrorEdited)
			}
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("as the current version", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Current)
			l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, strings.Repeat("0", 64)
			if again, err := l.clone(); err == nil || again.Promoted {
				t.Errorf("CloneUser answered %+v, %v: want that this version was not promoted by a rotation", again, err)
			}
		})
		t.Run("for another address", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			r.Rotation.ValueSHA256 = strings.Repeat("0", 64)
			l.refused(rotation.SetPassword, &r.Rotation, rotation.ErrorEdited)
		})
	})
}

func TestTwoRotationsNeverShareAnID(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		one, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		two, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if one.Rotation.VersionID == two.Rotation.VersionID {
			t.Errorf("both are %s", one.Rotation.VersionID)
		}
	})
}

// The previous attempt staged a version and failed. The next one continues with that version, so
// that a late effect of the first attempt results in the same password.
func TestTheNextAttemptGoesOnWithWhatIsStaged(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		failed := func(t *testing.T) (*lab, rotation.StepInput) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:2] {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
			l.input.Pair = []string{l.user, l.user + "_clone"}
			return l, r.Rotation
		}
		t.Run("the same version", func(t *testing.T) {
			l, first := failed(t)
			again := l.rotate()
			if again.VersionID != first.VersionID {
				t.Errorf("the next attempt made version %s: want %s", again.VersionID, first.VersionID)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("but not after an edit", func(t *testing.T) {
			l, first := failed(t)
			l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "dbname": "mysql"})
			again := l.rotate()
			if again.VersionID == first.VersionID {
				t.Error("the next attempt promoted a version that lacks the edit")
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
	})
}

// gate holds back a call to Secrets Manager, before it takes effect, until the gate is opened.
type gate struct {
	reached chan struct{}
	open    func()
}

// stopAt holds back the first call that matches.
func (l *lab) stopAt(meant func(endpoint.Call) bool) gate {
	opened := make(chan struct{})
	g := gate{make(chan struct{}), sync.OnceFunc(func() { close(opened) })}
	l.Cleanup(g.open)
	var stopped atomic.Bool
	l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
		if !c.Done && meant(c) && stopped.CompareAndSwap(false, true) {
			close(g.reached)
			<-opened
		}
		return endpoint.Fault{}
	})
	return g
}

func movesCurrent(c endpoint.Call) bool {
	return c.Operation == "UpdateSecretVersionStage" && slices.Contains(c.Stages, secret.Current)
}

// another returns a second worker with its own connections.
func (l *lab) another() *lab {
	l.Helper()
	roots, err := l.server.RootCAs()
	if err != nil {
		l.Fatal(err)
	}
	o := *l
	o.dialer = &account.Dialer{RootCAs: roots}
	l.Cleanup(func() { o.dialer.Close() })
	var suite testsuite.WorkflowTestSuite
	o.env = suite.NewTestActivityEnvironment()
	o.env.SetWorkerOptions(redacted)
	o.activities = &activities.Activities{Secrets: secret.NewStore(l.client), Accounts: o.dialer}
	o.env.RegisterActivity(o.activities)
	return &o
}

// prepared returns a rotation that only has to be promoted.
func (l *lab) prepared() rotation.StepInput {
	l.Helper()
	return l.leave(3)
}

// sessionsOf lists the connections of a user.
func (l *lab) sessionsOf(user string) []string {
	l.Helper()
	rows, err := l.admin.QueryContext(context.Background(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ? AND ID <> CONNECTION_ID()", user)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			l.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// rotator creates an administrator for this lab alone, so that its sessions can be told from those
// of other tests.
func (l *lab) rotator() {
	l.Helper()
	name := "r" + l.user
	l.sql("CREATE USER " + name + "@'%' IDENTIFIED BY 'Admin.Passw0rd'")
	l.Cleanup(func() { l.sql("DROP USER " + name + "@'%'") })
	l.sql("GRANT ALL ON *.* TO " + name + "@'%' WITH GRANT OPTION")
	l.create(name, map[string]any{"username": name, "password": "Admin.Passw0rd"})
	l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": name})
}

// A worker dies during a call, and the call takes effect late. By then another rotation has taken
// over.
func TestALateMoveOfAnOvertakenRotationPromotesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		// dying starts the promotion of a rotation whose worker, and with it its sessions, dies
		// during the call.
		dying := func(l *lab, r rotation.StepInput) (late gate, ended chan error) {
			ended = make(chan error, 1)
			late = l.stopAt(movesCurrent)
			go func() { ended <- l.step(rotation.PromotePassword, &r) }()
			<-late.reached
			for _, id := range l.sessionsOf("r" + l.user) {
				l.sql("KILL " + id)
			}
			return late, ended
		}
		t.Run("taken over by force", func(t *testing.T) {
			l := newLab(t, s)
			l.rotator()
			late, ended := dying(l, l.prepared())
			next := l.another()
			next.input.Force = true
			r := next.prepared()
			late.open()
			if err := <-ended; err == nil {
				t.Error("the overtaken rotation promoted its version")
			}
			l.mustLogIn(secret.Current, l.user)
			if err := next.step(rotation.PromotePassword, &r); err != nil {
				t.Fatal(err)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("not seen by the other", func(t *testing.T) { // both began before either had staged anything
			l := newLab(t, s)
			l.rotator()
			next := l.another()
			r, err := next.clone()
			if err != nil {
				t.Fatal(err)
			}
			late, ended := dying(l, l.prepared())
			if err := next.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			next.refused(rotation.SetPassword, &r.Rotation, rotation.ErrorEdited)
			late.open()
			<-ended
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
		t.Run("while its worker lives", func(t *testing.T) {
			l := newLab(t, s)
			l.rotator()
			first := l.prepared()
			next := l.another()
			next.input.Force = true
			r, err := next.clone()
			if err != nil {
				t.Fatal(err)
			}
			late := l.stopAt(movesCurrent)
			ended := make(chan error, 1)
			go func() { ended <- l.step(rotation.PromotePassword, &first) }()
			select {
			case err := <-ended: // it noticed the takeover
				if err == nil {
					t.Error("it promoted what the next rotation had taken over")
				}
			case <-late.reached:
				t.Error("it was about to promote what the next rotation had taken over")
				late.open()
			}
			l.sm.Intercept(nil)
			for _, name := range steps {
				if err := next.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		})
	})
}

// Two workers rotate one secret at the same time, each with Force, again and again.
func TestTwoRotatorsAtOnce(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		second := l.another()
		second.input.Stored = maps.Clone(l.input.Stored)
		promoted := 0
		for range 2 {
			var both sync.WaitGroup
			errs := make([]error, 2)
			for i, worker := range []*lab{l, second} {
				both.Go(func() {
					r, err := worker.clone()
					for _, name := range steps {
						if err == nil {
							err = worker.step(name, &r.Rotation)
						}
					}
					if errs[i] = err; err == nil {
						worker.remember(r)
					}
				})
			}
			both.Wait()
			for _, err := range errs {
				var refused *temporal.ApplicationError
				switch {
				case err == nil:
					promoted++
				case !errors.As(err, &refused) || !slices.Contains([]string{rotation.ErrorEdited, rotation.ErrorDifferent, grants.ForeignPassword, grants.Busy}, refused.Type()):
					t.Errorf("want a rotation, or a refusal because of the other one: %v", err)
				}
			}
			if !l.logsIn(secret.Current) {
				t.Fatalf("AWSCURRENT does not log in after %v", errs)
			}
		}
		if promoted == 0 {
			t.Error("neither of them ever rotated")
		}
		l.rotate()
	})
}

// logsIn reports whether the credential under a label of the secret can run a statement.
func (l *lab) logsIn(label string) bool {
	l.Helper()
	c := l.credential(label)
	db, err := l.server.Open(c.Username, c.Password)
	if err != nil {
		l.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(l.Context(), "SELECT 1")
	return err == nil
}

// The standby's password is changed after the test and before the promotion, by hand or for another
// secret.
func TestAPasswordThatWasChangedAfterTheTestIsNotPromoted(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		r := l.prepared()
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'By.Hand-1'")
		l.refused(rotation.PromotePassword, &r, rotation.ErrorEdited)
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestAStandbyWhosePasswordIsNotTheSecretsIsLeftAlone(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'By.Hand-1'") // as the rotation of another secret would
		l.input.Force = false
		before := l.snapshot()
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != grants.ForeignPassword || !app.NonRetryable() || !strings.Contains(app.Message(), "Force") {
				t.Errorf("%s answered %v: want that the password is not the secret's", name, err)
			}
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}
		l.input.Force = true
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

// A value with the current credential was put by hand. The version with the standby's credential
// has no label any more.
func TestTheStandbyIsKnownByAnOldVersion(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		r := l.rotate()
		v, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionId: &r.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		l.putText(*v.SecretString)
		l.input.Force, l.input.Stored = false, nil
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

// A first rotation failed halfway. Another workflow, which has no state, starts it again.
func TestAStandbyIsKnownToTheNextWorkflow(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for done := range steps {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range steps[:done] {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatal(err)
				}
			}
			l.settle() // otherwise a recent write of another workflow may be invisible, and the rotation is refused
			l.input = rotation.CloneUserInput{SecretID: "app", Mark: "another workflow", Force: done > 0}
			if _, err := l.env.ExecuteActivity(rotation.PlanRotation, l.input); err != nil {
				t.Errorf("after %v, a plan fails with %v", steps[:done], err)
			}
			l.rotate()
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

// CloneUser is repeated while sessions of the standby drain. It takes over only once.
func TestOneTakeoverIsEnough(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.put(map[string]any{"username": l.user, "password": "Half.Done1", "masterarn": "master"}, secret.Pending)
		first, err := l.clone()
		if err != nil || !first.Reissued {
			t.Fatalf("CloneUser answered %+v, %v: want AWSCURRENT to be stored again", first, err)
		}
		l.settle()
		l.input.PromotedVersionID = first.Rotation.CurrentVersionID
		l.input.ReissuedVersionID, l.input.TakenOver = first.Rotation.CurrentVersionID, first.Rotation.PendingVersionID
		again, err := l.clone()
		if err != nil || again.Reissued || again.Rotation.CurrentVersionID != first.Rotation.CurrentVersionID {
			t.Fatalf("CloneUser answered %+v, %v: want nothing more to be stored", again, err)
		}
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
	})
}

func TestAUsersSecretMayNotAskForLessThanItsMaster(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "ssl": false})
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser, rotation.FindAccounts} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorTLS || !app.NonRetryable() || !strings.Contains(app.Message(), `"ssl": false`) {
				t.Errorf("%s answered %v: want a refusal for ssl", name, err)
			}
		}
	})
}

// A workflow's state about accounts on one server does not apply to accounts on another.
func TestAnAccountOfThatNameOnAnotherServerIsAStrangers(t *testing.T) {
	t.Parallel()
	servers := mysqldtest.Servers(t)
	for i, s := range servers {
		other := servers[(i+1)%len(servers)]
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.input.CloneUsername = l.user + "_clone"
		l.rotate()
		l.input.Server = l.rotate().Server

		admin, err := other.Open(other.AdminUser, other.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		for user, password := range map[string]string{l.user: "First.Passw0rd", l.user + "_clone": "Not.Yours-1"} {
			if _, err := admin.ExecContext(t.Context(), "CREATE USER "+user+"@'%' IDENTIFIED BY '"+password+"'"); err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = admin.ExecContext(context.Background(), "DROP USER "+user+"@'%'") }()
		}
		there := map[string]any{"host": other.Host, "port": other.Port}
		edited := func(fields map[string]any) map[string]any { maps.Copy(fields, there); return fields }
		l.create("theirs", edited(map[string]any{"username": other.AdminUser, "password": other.AdminPassword}))
		l.put(edited(map[string]any{"username": l.user + "_clone", "password": "x", "masterarn": "theirs"}))
		l.put(edited(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "theirs"}))
		for _, force := range []bool{false, true} {
			l.input.Force = force
			_, err = l.clone()
			var app *temporal.ApplicationError
			if want := grants.NotOurs; s != other && (!errors.As(err, &app) || app.Type() != want && app.Type() != rotation.ErrorTLS) {
				t.Errorf("force %t: CloneUser answered %v: want an error that the account there is not the secret's", force, err)
			}
		}
		theirs, err := other.Open(l.user+"_clone", "Not.Yours-1")
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		if err := theirs.PingContext(t.Context()); s != other && err != nil {
			t.Errorf("the account of that name on the other server no longer logs in: %v", err)
		}
	}
}

func TestACurrentVersionThatDoesNotLogInGivesWayToOneThatDoes(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		// After a takeover, the clone's password is in a version without a label.
		lost := l.prepared()
		good, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionId: &lost.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Pending), RemoveFromVersionId: &lost.VersionID,
		}); err != nil {
			t.Fatal(err)
		}
		bad, err := secret.Parse([]byte(*good.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		value, err := bad.With(bad.Username, "Gone.Passw0rd-1")
		if err != nil {
			t.Fatal(err)
		}
		l.putText(string(value))
		l.putText(string(value)) // so that AWSPREVIOUS does not log in either
		if _, err := l.env.ExecuteActivity(rotation.PlanRotation, l.input); err == nil || !strings.Contains(err.Error(), lost.VersionID) {
			t.Errorf("a plan fails with %v: want an error that names version %s, which logs in", err, lost.VersionID)
		}
		r, err := l.clone()
		if err != nil || !strings.Contains(strings.Join(r.Warnings, " "), lost.VersionID) {
			t.Fatalf("CloneUser answered %+v, %v: want AWSCURRENT on version %s", r, err, lost.VersionID)
		}
		l.mustLogIn(secret.Current, l.user)
		l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}

// A thief who has the leaked credential changes its password, or uses up its connections.
func TestTheHolderOfALeakedCredentialCannotKeepItsRotationOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, grace := range []int64{0, 60} {
			l := newLab(t, s)
			l.input.Pair = []string{l.user, l.user + "_clone"}
			l.rotate()
			l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Mine.Now-1'")
			thief, err := s.Open(l.user+"_clone", "Mine.Now-1")
			if err != nil {
				t.Fatal(err)
			}
			defer thief.Close()
			if err := thief.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.input.RevokePrevious, l.input.GraceSeconds = true, grace
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if left := len(l.sessionsOf(l.user + "_clone")); (grace == 0) != (left == 0) {
				t.Errorf("with a grace of %d s the thief has %d sessions before the promotion", grace, left)
			}
			for _, name := range append(slices.Clone(steps), rotation.RevokePrevious) {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			l.mustLogIn(secret.Current, l.user)
			if left := l.sessionsOf(l.user + "_clone"); len(left) != 0 {
				t.Errorf("the thief still has sessions %v", left)
			}
		}
	})
}

func TestALimitOfTheAccountIsNoWrongPassword(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.sql("ALTER USER " + l.user + "_clone@'%' WITH MAX_USER_CONNECTIONS 1")
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		c, err := secret.Parse([]byte(*out.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		busy, err := s.Open(c.Username, c.Password)
		if err != nil {
			t.Fatal(err)
		}
		defer busy.Close()
		conn, err := busy.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l.rotate()
		l.mustLogIn(secret.Current, l.user)
	})
}

func TestTheOverlapCountsFromWhenTheLabelMoved(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		first := l.rotate()
		l.input.Force, l.input.MinimumOverlapSeconds = false, 3600
		tooSoon := func(want bool, when string) {
			t.Helper()
			_, err := l.clone()
			var app *temporal.ApplicationError
			if got := errors.As(err, &app) && app.Type() == rotation.ErrorMinimumOverlap; got != want {
				t.Errorf("%s: CloneUser answered %v: want that it is too soon: %t", when, err, want)
			}
		}
		tooSoon(true, "after the promotion")
		l.input.PromotedAt = time.Now().Add(-2 * time.Hour) // although the version was created later
		tooSoon(false, "two hours after the promotion")
		if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("app"), VersionStage: aws.String(secret.Current), RemoveFromVersionId: &first.VersionID, MoveToVersionId: &first.CurrentVersionID,
		}); err != nil {
			t.Fatal(err)
		}
		tooSoon(true, "after the label was moved by hand")
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

// meanwhile runs an activity, and lets another actor act right before the activity reads the
// secret.
func (l *lab) meanwhile(name string, in any, act func()) error {
	l.Helper()
	look := l.stopAt(func(c endpoint.Call) bool { return c.Operation == "DescribeSecret" })
	ended := make(chan error, 1)
	go func() {
		_, err := l.env.ExecuteActivity(name, in)
		ended <- err
	}()
	select {
	case <-look.reached:
	case err := <-ended:
		l.Fatalf("%s ended without reading the secret: %v", name, err)
	}
	act()
	look.open()
	err := <-ended
	l.sm.Intercept(nil)
	return err
}

// schedule schedules the secret for deletion, as in the AWS console.
func (l *lab) schedule() {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Error(err)
	}
}

func (l *lab) move(label, from, to string) {
	l.Helper()
	if _, err := l.client.UpdateSecretVersionStage(l.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("app"), VersionStage: &label, RemoveFromVersionId: &from, MoveToVersionId: &to,
	}); err != nil {
		l.Fatal(err)
	}
}

func wantEdited(t *testing.T, what string, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
		t.Errorf("%s answered %v: want a refusal, because something else has acted", what, err)
	}
}

func TestWhatAnotherActorDoesBeforeTheLastLookCounts(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		t.Run("a rollback before a revocation", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r := l.rotate()
			err := l.meanwhile(rotation.RevokePrevious, r, func() { l.move(secret.Current, r.VersionID, r.CurrentVersionID) })
			wantEdited(t, rotation.RevokePrevious, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a newer rotation before a late revocation", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.input.Pair = []string{l.user, l.user + "_clone"}
			first := l.rotate()
			l.input.Force = true
			second := l.rotate()
			wantEdited(t, "RevokePrevious, late", l.step(rotation.RevokePrevious, &first))
			l.mustLogIn(secret.Current, second.Standby.User)
		})
		t.Run("an edit before a promotion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r := l.prepared()
			err := l.meanwhile(rotation.PromotePassword, r, func() {
				l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "edited": true})
			})
			wantEdited(t, rotation.PromotePassword, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a deletion before a password is set", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			err = l.meanwhile(rotation.SetPassword, r.Rotation, l.schedule)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
				t.Errorf("SetPassword answered %v: want a refusal", err)
			}
			if got := l.locked(); !slices.Contains(got, l.user+"_clone") {
				t.Errorf("locked are %v: want only the clone, which is not in use", got)
			}
		})
		t.Run("a restore before the accounts are locked", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			wantEdited(t, rotation.LockAccounts, l.meanwhile(rotation.LockAccounts, d, l.restore))
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		})
		t.Run("a second deletion before the accounts are unlocked", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			l.activity(rotation.LockAccounts, d)
			l.restore()
			wantEdited(t, rotation.UnlockAccounts, l.meanwhile(rotation.UnlockAccounts, d, l.schedule))
			if got := l.locked(); len(got) != 2 {
				t.Errorf("locked are %v: want both", got)
			}
		})
		t.Run("a new secret before the accounts are dropped", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			l.rotate()
			d := l.deletion()
			l.activity(rotation.DeleteSecret, d)
			l.activity(rotation.LockAccounts, d)
			l.forceDelete()
			d.Locked = true
			for _, name := range d.Accounts {
				l.sql("ALTER USER " + name.String() + " IDENTIFIED BY 'First.Passw0rd' ACCOUNT UNLOCK")
			}
			l.create("other", map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
			if _, err := l.env.ExecuteActivity(rotation.DropAccounts, d); err == nil || len(l.accounts(l.user)) != 1 {
				t.Errorf("DropAccounts answered %v, and the current account is %v", err, l.accounts(l.user))
			}
			l.create("app", map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})
			for _, name := range []string{rotation.LockAccounts, rotation.UnlockAccounts, rotation.DropAccounts, rotation.DeleteSecret} {
				if _, err := l.env.ExecuteActivity(name, d); err == nil {
					t.Errorf("%s, repeated after the secret was created again, still acts", name)
				}
			}
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a rotation before the secret is scheduled for deletion", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			d := l.deletion()
			next := l.another()
			if _, err := next.clone(); err != nil { // this creates the standby
				t.Fatal(err)
			}
			_, err := l.env.ExecuteActivity(rotation.DeleteSecret, d)
			wantEdited(t, rotation.DeleteSecret, err)
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("a deletion before a standby is made", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, s)
			var looks atomic.Int32
			l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
				if c.Operation == "DescribeSecret" && !c.Done && looks.Add(1) == 2 { // the call under the lock
					l.schedule()
				}
				return endpoint.Fault{}
			})
			_, err := l.clone()
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorDeleted {
				t.Errorf("CloneUser answered %v: want a refusal", err)
			}
			if left := l.accounts(l.user + "_clone"); len(left) != 0 {
				t.Errorf("%v was created for a secret that is being deleted", left)
			}
		})
	})
}

// A worker dies while it stores the current credential again to take over. Its put takes effect
// after later rotations.
func TestALateReissueTakesNothingBack(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotator()
		l.put(map[string]any{"username": l.user + "_clone", "password": "Half.Done1", "masterarn": "r" + l.user}, secret.Pending)
		l.input.Force = true
		next := l.another()
		late := l.stopAt(func(c endpoint.Call) bool {
			return c.Operation == "PutSecretValue" && !slices.Contains(c.Stages, secret.Pending)
		})
		ended := make(chan error, 1)
		go func() { _, err := l.clone(); ended <- err }()
		select {
		case <-late.reached:
		case err := <-ended:
			t.Fatalf("CloneUser took over without a put: %v", err)
		}
		for _, id := range l.sessionsOf("r" + l.user) {
			l.sql("KILL " + id)
		}
		next.rotate()
		next.rotate()
		late.open()
		<-ended
		l.mustLogIn(secret.Current, l.user)
	})
}

// The label was moved by hand to a version that an attempt staged but never set.
func TestAVersionThatWasNeverSetIsNotPromotedAlready(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
		l.move(secret.Current, r.Rotation.CurrentVersionID, r.Rotation.VersionID)
		if again, err := l.clone(); again.Promoted {
			t.Errorf("CloneUser answered %+v, %v: want that this version was not promoted by a rotation", again, err)
		}
		if !l.logsIn(secret.Current) {
			t.Error("AWSCURRENT does not log in")
		}
	})
}

// After an attempt had set the password that it staged, AWSCURRENT was edited to a wrong one.
func TestARestoredVersionOfTheAttemptBeforeIsRotated(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		r := l.prepared()
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.VersionID, r.ValueSHA256
		l.put(map[string]any{"username": l.user + "_clone", "password": "Wrong.Passw0rd1", "masterarn": "master"})
		again, err := l.clone()
		if err != nil || !again.Promoted && again.Rotation.Source.User == "" {
			t.Errorf("CloneUser answered %+v, %v: want a rotation from the version that logs in", again, err)
		}
		if !l.logsIn(secret.Current) {
			t.Error("AWSCURRENT does not log in")
		}
	})
}

// Whatever refuses the rotation of a leaked credential is checked before its account loses
// anything.
func TestARefusedRotationScramblesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Changed-1'")
		l.sql("CREATE USER " + l.user + "@'10.%'")
		l.input.RevokePrevious = true
		before := l.snapshot()
		_, err := l.clone()
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Type() != grants.OtherHost {
			t.Errorf("CloneUser answered %v: want that the standby has a second account", err)
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}
	})
}

// The version that gets AWSCURRENT back logs in, and equals the current one in everything but the
// credential.
func TestARepairLooksPastVersionsThatDoNotFit(t *testing.T) {
	good := func(l *lab) map[string]any {
		return map[string]any{"username": l.user, "password": "Good.Passw0rd1", "masterarn": "master"}
	}
	for name, arrange := range map[string]func(l *lab){
		"another dbname": func(l *lab) {
			other := good(l)
			other["dbname"] = "other"
			l.put(other)
		},
		"a locked account": func(l *lab) {
			l.sql("CREATE USER " + l.user + "_clone@'%' IDENTIFIED BY 'Locked-1' ACCOUNT LOCK")
			l.put(map[string]any{"username": l.user + "_clone", "password": "Locked-1", "masterarn": "master"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
				l := newLab(t, s)
				l.sql("ALTER USER " + l.user + "@'%' IDENTIFIED BY 'Good.Passw0rd1'")
				l.put(good(l))
				arrange(l)
				wrong := good(l)
				wrong["password"] = "Wrong.Passw0rd1"
				l.put(wrong)
				if _, err := l.clone(); err == nil && !l.logsIn(secret.Current) {
					t.Error("the rotation began, and AWSCURRENT does not log in")
				}
				l.mustLogIn(secret.Current, l.user)
				out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
				if err != nil || strings.Contains(*out.SecretString, "dbname") {
					t.Errorf("AWSCURRENT has got a dbname, or %v", err)
				}
			})
		})
	}
}

// The workflow that created a pair with another name has ended, and its state is lost. No third
// account is created next to the two.
func TestAPairOfAnotherNameIsAskedFor(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		unknown := l.input
		other := l.user + "_b"
		t.Cleanup(func() { l.sql("DROP USER " + other) })
		l.input.CloneUsername, l.input.Force = other, true
		for _, user := range []string{l.user, other} { // AWSPREVIOUS after the rotation
			l.rotate()
			l.settle()
			known := l.input
			known.Pair = []string{l.user, other}
			l.input = unknown
			before := l.snapshot()
			_, err := l.clone()
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorUnknownPair || !app.NonRetryable() || !strings.Contains(app.Message(), "CloneUsername \""+user+"\"") {
				t.Errorf("CloneUser answered %v: want an error that asks whether %s is the other account", err, user)
			}
			if _, err := l.env.ExecuteActivity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input}); err == nil {
				t.Error("a plan succeeds although the rotation is refused")
			}
			if diff := cmp.Diff(before, l.snapshot()); diff != "" {
				t.Errorf("the refused rotation changed something:\n%s", diff)
			}
			l.input = known
		}
		l.input = unknown
		l.input.CloneUsername = l.user + "_clone"
		if r, err := l.clone(); err != nil || !r.Created {
			t.Errorf("with the derived name CloneUser answered %+v, %v: want a new account", r, err)
		}
	})
}
