// Package steps tests the activities one by one, on real servers and through the real AWS SDK. A
// refused rotation changes nothing, a step that runs twice does no harm, and a rotation that was
// taken over changes nothing more.
package steps

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
)

func TestEveryStepMayRunTwice(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		for range 2 {
			if _, err := l.clone(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.clone()
		if err != nil || r.Changed != 0 {
			t.Fatalf("a repeated CloneUser made %d changes, error %v", r.Changed, err)
		}
		for _, name := range steps {
			for range 2 {
				if err := l.step(name, &r.Rotation); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		l.mustLogIn(secret.Current, l.user+"_clone")
		l.mustLogIn(secret.Previous, l.user)
		d, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
		if err != nil || len(d.VersionIdsToStages) != 2 {
			t.Errorf("versions %v, error %v: want one current, one previous, and no label left behind", d.VersionIdsToStages, err)
		}
		l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, r.Rotation.ValueSHA256
		again, err := l.clone()
		if err != nil || !again.Promoted {
			t.Errorf("after the promotion CloneUser answered %+v, %v: want that it is done", again, err)
		}
	})
}

func TestALostAnswerIsNoFailure(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, operation := range []string{"PutSecretValue", "UpdateSecretVersionStage"} {
			l := newLab(t, s)
			left := 1
			l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
				if c.Operation == operation && c.Done && left > 0 {
					left--
					return endpoint.Fault{Drop: true}
				}
				return endpoint.Fault{}
			})
			l.rotate()
			if left != 0 {
				t.Errorf("%s: no answer was lost", operation)
			}
			l.mustLogIn(secret.Current, l.user+"_clone")
			l.mustLogIn(secret.Previous, l.user)
		}
	})
}

func TestARotationCostsFewCalls(t *testing.T) {
	if *lag > 0 {
		return // stale reads are repeated
	}
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.rotate()
		l.rotate()
		l.input.Pair = []string{l.user, l.user + "_clone"}
		l.rotate()
		l.sm.ResetCalls()
		l.rotate()
		total, writes := 0, 0
		for operation, n := range l.sm.Calls() {
			total += n
			if operation == "PutSecretValue" || operation == "UpdateSecretVersionStage" {
				writes += n
			}
		}
		if total > 8 || writes > 3 {
			t.Errorf("calls %v: want at most 8, and 3 that write", l.sm.Calls())
		}
	})
}

func TestUnknownFieldsSurvive(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.put(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master", "custom": map[string]any{"a": []int{1, 2}}})
		l.rotate()
		out, err := l.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil || !strings.Contains(*out.SecretString, `"custom":{"a":[1,2]}`) {
			t.Errorf("the custom field did not survive, error %v", err)
		}
	})
}
