package steps

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

func TestProxySecretsThatCannotBeKeptInStepAreRefused(t *testing.T) {
	type fields = map[string]any
	put := func(l *lab, name string, value fields) {
		l.Helper()
		text, err := json.Marshal(value)
		if err != nil {
			l.Fatal(err)
		}
		if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name,
			SecretString: aws.String(string(text))}); err != nil {
			l.Fatal(err)
		}
	}
	cases := []struct {
		name    string
		arrange func(l *lab)
		kind    string
		says    []string
	}{
		{"both for one account", func(l *lab) { put(l, "proxy-b", fields{"username": l.user, "password": "Not.Set-Yet-01"}) },
			rotation.ErrorProxySecret,
			[]string{"proxy-a and proxy-b are both for user", `"username"`, "_clone"}},
		{"for other users", func(l *lab) {
			put(l, "proxy-a", fields{"username": "billing", "password": "Not.Set-Yet-01"})
			put(l, "proxy-b", fields{"username": "ops", "password": "Not.Set-Yet-01"})
		}, rotation.ErrorProxySecret, []string{"proxy-a is for user billing", "proxy-b is for user ops",
			"none of the proxy secrets is for user"}},
		{"no such secrets", func(l *lab) { l.input.ProxySecretIDs = []string{"nope-a", "nope-b"} }, rotation.ErrorSecretsManager,
			[]string{"nope-a", "nope-b"}},
		{"one without a user name, and one that is not JSON", func(l *lab) {
			put(l, "proxy-a", fields{"password": "Not.Set-Yet-01"})
			if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("proxy-b"),
				SecretString: aws.String("x")}); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorMalformed, []string{"proxy-a", "proxy-b", `"username"`, "JSON"}},
		{"the user's own secret", func(l *lab) { l.input.ProxySecretIDs[0] = "app" }, rotation.ErrorProxySecret,
			[]string{"the user's own secret"}},
		{"the master secret", func(l *lab) { l.input.ProxySecretIDs[0] = "master" }, rotation.ErrorProxySecret, []string{"the master secret"}},
		{"one is scheduled for deletion", func(l *lab) {
			if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("proxy-b")}); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorDeleted, []string{"proxy-b"}},
		{"one is a replica", func(l *lab) {
			if err := l.sm.MakeReadOnly("proxy-b", "us-east-1", ""); err != nil {
				l.Fatal(err)
			}
		}, rotation.ErrorReadOnlySecret, []string{"proxy-b"}},
		{"one that the worker may not write", func(l *lab) {
			l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
				if c.Operation == "PutSecretValue" && c.SecretID == "proxy-b" && !c.Done {
					return endpoint.Denied(c)
				}
				return endpoint.Fault{}
			})
		}, rotation.ErrorAccessDenied, []string{"proxy-b", "PutSecretValue"}},
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				l := newProxyLab(t, s)
				c.arrange(l)
				before := l.snapshot() + l.versions("proxy-a", "proxy-b")
				for _, name := range []string{rotation.PlanRotation, rotation.CloneUser} {
					_, err := l.env.ExecuteActivity(name, l.input)
					var app *temporal.ApplicationError
					if !errors.As(err, &app) || app.Type() != c.kind || !app.NonRetryable() {
						t.Fatalf("%s answered %v: want a refusal of type %s", name, err, c.kind)
					}
					for _, says := range c.says {
						if !strings.Contains(app.Message(), says) {
							t.Errorf("%s answered %q: want that it says %q", name, app.Message(), says)
						}
					}
				}
				if after := l.snapshot() + l.versions("proxy-a", "proxy-b"); after != before {
					t.Errorf("the refused rotation left\n%s\nand before there was\n%s", after, before)
				}
			})
		}
	})
}
