package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// A proxy logs in for its clients with the password under AWSCURRENT of the secret for the user
// that they name.
func TestAClientBehindAProxyNeverFails(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newProxyLab(t, s)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var logins atomic.Int64
		failed := make(chan error, 1)
		go func() {
			defer close(failed)
			for ctx.Err() == nil {
				if err := l.behindProxy(ctx); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
				logins.Add(1)
			}
		}()
		for range 4 {
			l.rotate()
			l.input.Pair = []string{l.user, l.user + "_clone"}
			// A minimum overlap in miniature: the client reads the secret again before the next
			// rotation.
			for seen := logins.Load(); logins.Load() < seen+2; {
				select {
				case err := <-failed:
					t.Fatal(err)
				default:
				}
			}
		}
		stop()
		if err := <-failed; err != nil {
			t.Error(err)
		}
	})
}

// behindProxy logs in as a client of the proxy does. The client takes the user name from the user's
// secret, and the proxy takes the password from its own secret.
func (l *lab) behindProxy(ctx context.Context) error {
	value := func(id string) (map[string]any, error) {
		out, err := l.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			return nil, err
		}
		fields := map[string]any{}
		return fields, json.Unmarshal([]byte(*out.SecretString), &fields)
	}
	user, err := value("app")
	if err != nil {
		return err
	}
	for _, id := range []string{"proxy-a", "proxy-b"} {
		known, err := value(id)
		if err != nil {
			return err
		}
		if known["username"] == user["username"] {
			_, err := l.dialer.Login(ctx, account.Endpoint{Host: l.server.Host, Port: l.server.Port, TLS: true}, known["username"].(string),
				known["password"].(string))
			return err
		}
	}
	return fmt.Errorf("this proxy has no credentials for the role %v", user["username"])
}
