package steps

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// untidied rotates and puts AWSPENDING back on the promoted version, as a worker that died would
// leave it.
func (l *lab) untidied() rotation.StepInput {
	l.Helper()
	r := l.rotate()
	l.add(secret.Pending, r.VersionID)
	return r
}

// add gives a version a label that no version has.
func (l *lab) add(label, versionID string) {
	l.Helper()
	if _, err := l.client.UpdateSecretVersionStage(l.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("app"), VersionStage: &label, MoveToVersionId: &versionID,
	}); err != nil {
		l.Fatal(err)
	}
}

// stages returns the version that each label is on.
func (l *lab) stages() map[string]string {
	l.Helper()
	d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
	if err != nil {
		l.Fatal(err)
	}
	stages := map[string]string{}
	for version, labels := range d.VersionIdsToStages {
		for _, label := range labels {
			stages[label] = version
		}
	}
	return stages
}

func TestARotationIsDoneWhenAWSCURRENTHasMoved(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"} // otherwise the first rotation would check whether it may
		l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
			if c.Operation == "UpdateSecretVersionStage" && slices.Contains(c.Stages, secret.Pending) && !c.Done {
				return endpoint.Denied(c)
			}
			return endpoint.Fault{}
		})
		first := l.rotate()
		l.mustLogIn(secret.Current, l.user+"_clone")
		if on := l.stages()[secret.Pending]; on != first.VersionID {
			t.Errorf("AWSPENDING is on %q: want the promoted version", on)
		}
		second := l.rotate()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, l.user+"_clone")
		if on := l.stages()[secret.Pending]; on != second.VersionID {
			t.Errorf("AWSPENDING is on %q: want it on the version that the next rotation staged", on)
		}
	})
}

// The response of a promotion was lost, an operator rolled the promotion back, and then the step is
// repeated. AWSPENDING is still on the version, but must not make the step undo the rollback.
func TestARepeatedPromotionDoesNotUndoARollBack(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, again := range map[string]func(*lab, *rotation.StepInput) error{
			"by the worker that promoted": func(l *lab, r *rotation.StepInput) error { return l.step(rotation.PromotePassword, r) },
			"by another worker": func(l *lab, r *rotation.StepInput) error {
				return l.another().step(rotation.PromotePassword, r)
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, s)
				r := l.untidied()
				l.move(secret.Current, r.VersionID, r.CurrentVersionID)
				wantEdited(t, rotation.PromotePassword, again(l, &r))
				wantEdited(t, rotation.SetPassword, l.step(rotation.SetPassword, &r))
				if on := l.stages()[secret.Current]; on != r.CurrentVersionID {
					t.Errorf("AWSCURRENT is on %s: want %s, the version of the rollback", on, r.CurrentVersionID)
				}
				l.mustLogIn(secret.Current, l.user)
			})
		}
	})
}

// A version with AWSPREVIOUS was promoted before. AWSPENDING on it is a leftover, and no rotation
// waits because of it.
func TestAWSPENDINGOnThePreviousVersionHoldsNothingOff(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, knows := range map[string]func(*lab, rotation.StepInput){
			"its workflow knows that it promoted": func(*lab, rotation.StepInput) {},
			"its workflow does not": func(l *lab, r rotation.StepInput) {
				l.input.EarlierVersionID, l.input.EarlierSHA256 = r.VersionID, r.ValueSHA256
			},
			"another workflow": func(l *lab, _ rotation.StepInput) {
				l.input = rotation.CloneUserInput{SecretID: "app", Mark: "another workflow"}
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, s)
				l.input.Pair = []string{l.user, l.user + "_clone"}
				l.rotate()
				r := l.untidied() // promotes l.user
				l.move(secret.Current, r.VersionID, r.CurrentVersionID)
				knows(l, r)
				l.input.Force = false
				next := l.rotated()
				if next.Rotation.VersionID == r.VersionID {
					t.Error("the version that was rolled back is promoted again")
				}
				if text := strings.Join(next.Warnings, " "); strings.Contains(text, "did not stage") {
					t.Errorf("the rotation warns of another one: %s", text)
				}
				l.mustLogIn(secret.Current, l.user)
				l.mustLogIn(secret.Previous, l.user+"_clone")
			})
		}
	})
}

// AWSPENDING next to AWSCURRENT on one version is left from a promotion. It is not mistaken for a
// rotation in progress.
func TestAWSPENDINGBesideAWSCURRENTMeansNothing(t *testing.T) {
	cases := map[string]func(*testing.T, *lab){
		"the next rotation": func(t *testing.T, l *lab) {
			if r := l.rotated(); r.Reissued || len(r.Warnings) > 0 && strings.Contains(strings.Join(r.Warnings, " "), "AWSPENDING") {
				t.Errorf("the rotation takes over from another one: %+v", r)
			}
			l.mustLogIn(secret.Current, l.user)
		},
		"a rotation of another workflow": func(t *testing.T, l *lab) {
			l.input = rotation.CloneUserInput{SecretID: "app", Mark: "another workflow"}
			if r := l.rotated(); r.Reissued {
				t.Errorf("the rotation takes over from another one: %+v", r)
			}
			l.mustLogIn(secret.Current, l.user)
		},
		"a plan": func(_ *testing.T, l *lab) {
			l.activity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input})
		},
		"a validation": func(_ *testing.T, l *lab) { l.activity(rotation.ValidateSecret, rotation.KnownSecret{SecretID: "app"}) },
		"a late revocation": func(t *testing.T, l *lab) {
			r := l.rotate()
			l.add(secret.Pending, r.VersionID)
			l.activity(rotation.RevokePrevious, r)
			l.mustLogIn(secret.Current, l.user)
		},
		"a deletion, tidied meanwhile": func(t *testing.T, l *lab) {
			l.settle()
			d := l.deletion()
			on := l.stages()[secret.Pending]
			if _, err := l.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: aws.String("app"), VersionStage: aws.String(secret.Pending), RemoveFromVersionId: &on,
			}); err != nil {
				t.Fatal(err)
			}
			l.activity(rotation.DeleteSecret, d)
			if len(d.Accounts) != 2 {
				t.Errorf("the deletion covers %v: want both accounts", d.Accounts)
			}
		},
		"a recovery, and the rotation after it": func(t *testing.T, l *lab) {
			l.sql("ALTER USER " + l.user + "_clone@'%' IDENTIFIED BY 'Restored.From-1'") // as a backup would
			l.activity(rotation.RecoverSecret, rotation.RecoverSecretInput{CloneUserInput: l.input})
			l.mustLogIn(secret.Current, l.user)
			l.settle()
			l.rotate()
			l.mustLogIn(secret.Current, l.user+"_clone")
		},
		"RotateSecret of AWS": func(t *testing.T, l *lab) {
			if err := l.sm.EnableRotation("app"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("app")}); err != nil {
				t.Error(err)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
		},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, act := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newOldLab(t, s)
				l.input.Pair = []string{l.user, l.user + "_clone"}
				l.untidied()
				l.input.Force = true
				act(t, l)
			})
		}
	})
}

// If another actor has moved AWSPENDING since a promotion, tidying leaves the label there, however
// late it runs.
func TestALateTidyingTakesAWSPENDINGFromNoOther(t *testing.T) {
	others := map[string]func(*testing.T, *lab){
		"the next rotation": func(_ *testing.T, l *lab) { l.another().leave(1) },
		"an editor": func(_ *testing.T, l *lab) {
			l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"}, secret.Pending)
		},
		"RotateSecret of AWS": func(t *testing.T, l *lab) {
			if err := l.sm.EnableRotation("app"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("app")}); err != nil {
				t.Fatal(err)
			}
		},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for name, act := range others {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, s)
				l.input.Pair = []string{l.user, l.user + "_clone"}
				tidying := l.stopAt(func(c endpoint.Call) bool {
					return c.Operation == "UpdateSecretVersionStage" && slices.Contains(c.Stages, secret.Pending)
				})
				r := l.leave(3)
				promoted := make(chan error, 1)
				go func() { promoted <- l.step(rotation.PromotePassword, &r) }()
				select {
				case <-tidying.reached:
				case <-time.After(10 * time.Minute):
					t.Fatal("the label was never removed")
				}
				l.input.Force = true
				act(t, l)
				theirs := l.stages()
				tidying.open()
				if err := <-promoted; err != nil {
					t.Error(err)
				}
				now := l.stages()
				if now[secret.Pending] != theirs[secret.Pending] || now[secret.Pending] == r.VersionID || now[secret.Current] != r.VersionID {
					t.Errorf("the labels were %v and are %v: want AWSPENDING where the other actor put it", theirs, now)
				}
				l.mustLogIn(secret.Current, l.user+"_clone")
			})
		}
	})
}

// A rotation is promoted while another one still sees an older state. The other one must not take
// over from it.
func TestATakeoverFromAnOldAnswerPromotesNothing(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.input.Pair = []string{l.user, l.user + "_clone"}
		first := l.prepared()
		next := l.another()
		next.input.Force = true
		put := l.stopAt(func(c endpoint.Call) bool {
			return c.Operation == "PutSecretValue" && !slices.Contains(c.Stages, secret.Pending)
		})
		ended := make(chan error, 1)
		go func() { _, err := next.clone(); ended <- err }()
		<-put.reached // the rotation holds the pair's lock, and has seen AWSPENDING on a version that is not AWSCURRENT
		l.move(secret.Current, first.CurrentVersionID, first.VersionID)
		put.open()
		var app *temporal.ApplicationError
		if err := <-ended; !errors.As(err, &app) || app.Type() != rotation.ErrorEdited {
			t.Errorf("CloneUser answered %v: want an error that something else has acted", err)
		}
		if on := l.stages()[secret.Current]; on != first.VersionID {
			t.Errorf("AWSCURRENT is on %s: want %s, which was promoted meanwhile", on, first.VersionID)
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
	})
}
