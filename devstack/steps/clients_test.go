package steps

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// clients log in with AWSCURRENT continuously, through the address of a cluster.
type clients struct {
	*lab
	at     *mysqld.Server // where they log in
	stop   context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	logins int
}

// clients starts some clients. A version may be superseded between a client's read and its login.
// If it was not, no login may be refused.
func (l *lab) clients(number int) *clients {
	l.Helper()
	ctx, stop := context.WithCancel(l.Context())
	c := &clients{lab: l, at: l.server, stop: stop}
	for range number {
		c.wg.Go(func() {
			for ctx.Err() == nil {
				c.login(ctx)
			}
		})
	}
	l.Cleanup(c.end)
	return c
}

func (c *clients) login(ctx context.Context) {
	read := func() (version string, credential secret.Credential, err error) {
		out, err := c.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		if err != nil {
			return "", credential, err
		}
		credential, err = secret.Parse([]byte(*out.SecretString))
		return *out.VersionId, credential, err
	}
	version, credential, err := read()
	if err == nil {
		db, openErr := c.at.Open(credential.Username, credential.Password)
		if openErr != nil {
			c.Error(openErr)
			return
		}
		err = db.QueryRowContext(ctx, "SELECT 1").Scan(new(int))
		db.Close()
	}
	var refused *mysql.MySQLError
	switch now, _, readErr := read(); {
	case ctx.Err() != nil:
	case err == nil:
		c.mu.Lock()
		c.logins++
		c.mu.Unlock()
	case errors.As(err, &refused) && readErr == nil && now == version:
		c.stop() // one failure is enough
		c.Errorf("a client was refused as AWSCURRENT, version %s, user %s: %v", version, credential.Username, err)
	}
}

func (c *clients) end() {
	c.stop()
	c.wg.Wait()
}

// neverRefused rotates while clients log in and each node in turn is blocked by a lock, as a backup
// takes one.
func (g *cluster) neverRefused(t *testing.T) {
	l := g.lab(t)
	clients := l.clients(2)
	for i := range 4 {
		node := i % len(g.nodes)
		c, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		r := c.Rotation
		if err := l.step(rotation.StagePassword, &r); err != nil {
			t.Fatal(err)
		}
		g.on(node, "FLUSH TABLES WITH READ LOCK")
		unlocked := make(chan error, 1)
		time.AfterFunc(500*time.Millisecond, func() {
			_, err := g.admins[node].ExecContext(context.WithoutCancel(t.Context()), "UNLOCK TABLES")
			unlocked <- err
		})
		rest := func() error {
			for _, step := range steps[1:] {
				if err := l.step(step, &r); err != nil {
					return err
				}
			}
			return nil
		}
		err = rest()
		if unlockErr := <-unlocked; unlockErr != nil {
			t.Fatal(unlockErr)
		}
		if err != nil { // on the blocked node; a workflow would retry the step
			err = rest()
		}
		if err != nil {
			t.Fatal(err)
		}
		l.settle()
		c.Rotation = r
		l.remember(c)
		l.everywhere(g, "AWSCURRENT", r.Standby.User)
	}
	clients.end()
	if clients.logins == 0 {
		t.Error("no client has logged in")
	}
	t.Logf("clients logged in %d times", clients.logins)
}
