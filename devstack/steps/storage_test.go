package steps

import (
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// MySQL 9.7 can refuse every statement of an account whose password is stored in another format
// than the server requires. Rotations keep working there. A current credential in the old format is
// refused at once, with advice, and nothing is changed.
func TestRotationsUnderAnEnforcedStorageFormat(t *testing.T) {
	for _, p := range mysqldtest.Programs(t) {
		if p.Engine != mysqld.MySQL {
			continue
		}
		s, err := p.Start(t.Context(), mysqld.Options{Args: []string{"--loose-caching-sha2-password-storage-format=PBKDF2_SHA512"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop() })
		l := newLab(t, s)
		var name, format string
		if err := l.admin.QueryRowContext(t.Context(), "SHOW GLOBAL VARIABLES LIKE 'caching_sha2_password_storage_format'").Scan(&name,
			&format); err != nil {
			t.Skipf("this server has no choice of formats: %v", err)
		}
		l.sql("ALTER USER CURRENT_USER() IDENTIFIED BY '" + s.AdminPassword + "'")
		l.sql("SET GLOBAL caching_sha2_password_enforce_storage_format = ON")
		for i := range 3 {
			users := []string{l.user, l.user + "_clone"}
			l.rotate()
			l.mustLogIn("AWSCURRENT", users[(i+1)%2])
			l.mustLogIn("AWSPREVIOUS", users[i%2])
		}

		l.sql("SET GLOBAL caching_sha2_password_storage_format = CRYPT5")
		l.sql("ALTER USER CURRENT_USER() IDENTIFIED BY '" + s.AdminPassword + "'")
		before := l.snapshot()
		for name, call := range map[string]func() error{
			rotation.CloneUser: func() error { _, err := l.clone(); return err },
			rotation.PlanRotation: func() error {
				_, err := l.env.ExecuteActivity(rotation.PlanRotation, rotation.PlanRotationInput{CloneUserInput: l.input})
				return err
			},
		} {
			var final *temporal.ApplicationError
			if err := call(); !errors.As(err, &final) || final.Type() != rotation.ErrorAccessDenied || !final.NonRetryable() ||
				!strings.Contains(final.Message(), "caching_sha2_password_enforce_storage_format") ||
				!strings.Contains(final.Message(), "set the same password again") {
				t.Errorf("%s with a current credential in the old format: %v", name, err)
			}
		}
		if after := l.snapshot(); after != before {
			t.Errorf("a refused rotation left\n%s\nfor\n%s", after, before)
		}
	}
}
