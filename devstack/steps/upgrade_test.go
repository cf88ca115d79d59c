package steps

import (
	"errors"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// A rotation that an earlier release started lacks fields that are newer. It continues, or is
// refused as edited and started again.
func TestARotationOfAnEarlierReleaseGoesOnOrIsBegunAgain(t *testing.T) {
	cases := []struct {
		name   string
		before string // the first step that the new worker runs
		forget func(*rotation.StepInput)
	}{
		{"what the standby stores", rotation.SetPassword, func(r *rotation.StepInput) { r.StandbyStored = "" }},
		{"the digest of the value", rotation.StagePassword, func(r *rotation.StepInput) { r.StandbyStored, r.ValueSHA256 = "", "" }},
		{"the digest of the staged value", rotation.SetPassword, func(r *rotation.StepInput) { r.StandbyStored, r.ValueSHA256 = "", "" }},
		{"the digest of the tested value", rotation.TestPassword, func(r *rotation.StepInput) { r.ValueSHA256, r.PasswordStored = "", "" }},
		{"what was set", rotation.PromotePassword, func(r *rotation.StepInput) { r.PasswordStored = "" }},
		{"all of it", rotation.PromotePassword, func(r *rotation.StepInput) {
			r.StandbyStored, r.ValueSHA256, r.PasswordStored, r.PendingVersionID = "", "", "", ""
		}},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			for _, first := range []bool{true, false} {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					l := newOldLab(t, s)
					if !first {
						l.rotate()
						l.input.Pair = []string{l.user, l.user + "_clone"}
					}
					l.input.Force, l.input.Stored, l.input.PromotedVersionID = false, nil, ""
					clone, err := l.clone()
					r := clone.Rotation
					for _, name := range steps {
						if err != nil {
							break
						}
						if name == c.before {
							c.forget(&r)
						}
						err = l.step(name, &r)
					}
					var app *temporal.ApplicationError
					if err != nil && (!errors.As(err, &app) || app.Type() != rotation.ErrorEdited) {
						t.Errorf("the rotation ended with %v", err)
					}
					if !l.logsIn(secret.Current) {
						t.Error("AWSCURRENT does not log in")
					}
					l.settle()
					l.input.EarlierVersionID = r.VersionID // for which that release stored no digest
					l.input.Pair = []string{l.user, l.user + "_clone"}
					l.rotate()
					if !l.logsIn(secret.Current) || !l.logsIn(secret.Previous) {
						t.Error("AWSCURRENT or AWSPREVIOUS does not log in after the next rotation")
					}
				})
			}
		}
	})
}
