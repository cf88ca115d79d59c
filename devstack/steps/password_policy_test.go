package steps

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestThePasswordPolicyOfTheServer(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		var refused, met []string // settings
		if s.Engine == mysqld.MySQL {
			l.sql("INSTALL COMPONENT 'file://component_validate_password'")
			t.Cleanup(func() { l.sql("UNINSTALL COMPONENT 'file://component_validate_password'") })
			refused = []string{"SET GLOBAL validate_password.length = 300"}
			met = []string{"SET GLOBAL validate_password.length = 60", "SET GLOBAL validate_password.special_char_count = 9"}
		} else {
			l.sql("INSTALL SONAME 'simple_password_check'")
			t.Cleanup(func() {
				l.sql("UNINSTALL SONAME 'simple_password_check'")
				l.sql("SET GLOBAL strict_password_validation = ON")
			})
			met = []string{"SET GLOBAL strict_password_validation = OFF", "SET GLOBAL simple_password_check_minimal_length = 60", "SET GLOBAL simple_password_check_other_characters = 9"}
		}
		for _, statement := range refused {
			l.sql(statement)
		}
		before := l.snapshot()
		for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
			_, err := l.env.ExecuteActivity(name, l.input)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != grants.PasswordPolicy || !app.NonRetryable() {
				t.Errorf("%s answered %v: want a refusal for the password policy", name, err)
			}
		}
		if diff := cmp.Diff(before, l.snapshot()); diff != "" {
			t.Errorf("the refused rotation changed something:\n%s", diff)
		}

		for _, statement := range met {
			l.sql(statement)
		}
		if err := l.dialer.Close(); err != nil { // its connections still have the old settings
			t.Fatal(err)
		}
		l.rotate()
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		c, err := secret.Parse([]byte(*out.SecretString))
		if err != nil {
			t.Fatal(err)
		}
		special := 0
		for _, r := range c.Password {
			if strings.ContainsRune("-._", r) {
				special++
			}
		}
		if len(c.Password) < 60 || special < 9 {
			t.Errorf("a password of %d characters, %d of them special: want 60 and 9", len(c.Password), special)
		}
	})
}
