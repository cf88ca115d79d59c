package chaos

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/password"
)

// lane rotates one secret after another with its own workers, master and proxies, so that its
// faults do not affect other lanes.
type lane struct {
	*world
	number   int
	queue    string
	master   string // name of the master secret, and of its user
	arn      string // ARN of the master secret
	tls      bool
	gate     gate
	database *databaseProxy
	log      *workerLog

	mu       sync.Mutex
	workers  []*process
	stopped  bool
	subject  *subject
	subjects int
	lastCall call // last call of Secrets Manager

	recovery sync.WaitGroup // repairs of faults in progress
}

func newLane(ctx context.Context, w *world, number int) (*lane, error) {
	l := &lane{world: w, number: number, queue: fmt.Sprintf("lane-%d", number), master: fmt.Sprintf("master_%d", number)}
	// One lane in three has no TLS, with "ssl": false in its secrets.
	l.tls = number%3 != 2
	file, err := os.Create(filepath.Join(w.Dir, l.queue+".log"))
	if err != nil {
		return nil, err
	}
	l.log = &workerLog{file: file}
	roots, err := w.database.RootCAs()
	if err != nil {
		return nil, err
	}
	if l.database, err = startDatabaseProxy(w.databaseAddress, roots, w.certificate, &l.gate, l.forwarding); err != nil {
		return nil, err
	}
	pw := rand.Text()
	if err := w.createAccount(ctx, l.master, pw, "ALL PRIVILEGES ON *.*", " WITH GRANT OPTION"); err != nil {
		return nil, err
	}
	if w.database.Engine == mysqld.MariaDB { // otherwise read-only would not apply to it
		if err := w.exec(ctx, "REVOKE READ ONLY ADMIN ON *.* FROM '"+l.master+"'@'%'"); err != nil {
			return nil, err
		}
	}
	out, err := w.secretsManager.CreateSecret(ctx, &awssm.CreateSecretInput{
		Name: &l.master, SecretString: aws.String(l.value(l.master, pw, "")),
	})
	if err != nil {
		return nil, err
	}
	l.arn = *out.ARN
	w.lanes.Store(l.arn, l)
	return l, l.start(ctx)
}

// start runs another worker.
func (l *lane) start(ctx context.Context) error { return l.startBinary(ctx, l.Worker) }

// startBinary runs a worker that reaches Temporal through its own proxy.
func (l *lane) startBinary(ctx context.Context, binary string) error {
	way, err := startPlainProxy(l.temporalAddress)
	if err != nil {
		return err
	}
	env := append(without(os.Environ(), "TEMPORAL_", "AWS_", "ROTATE_USER_"),
		"TEMPORAL_ADDRESS="+way.address(), "TEMPORAL_NAMESPACE=default",
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER="+l.secretsAddress, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	for range 20 { // Temporal may be down
		p := &process{temporal: way}
		p.Worker, err = stack.RunWorker(ctx, binary, env, []string{"--task-queue", l.queue, "--tls-ca-file", l.caFile, "--log-level", "debug"},
			l.log)
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.stopped {
				p.kill()
				return way.close()
			}
			l.workers = append(l.workers, p)
			go l.supervise(ctx, binary, p)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return fmt.Errorf("lane %d: %w", l.number, err)
}

// supervise restarts a worker that has exited by itself, as a supervisor would in production: a
// worker that cannot reach Temporal at the start exits.
func (l *lane) supervise(ctx context.Context, binary string, p *process) {
	<-p.Done()
	l.mu.Lock()
	i := slices.Index(l.workers, p)
	if i >= 0 {
		l.workers = slices.Delete(l.workers, i, i+1)
	}
	l.mu.Unlock()
	if i < 0 { // it was told to shut down
		return
	}
	l.failed(p.temporal.close())
	if err := l.startBinary(ctx, binary); ctx.Err() == nil {
		l.failed(err)
	}
}

// give returns the workers that are running, and forgets them.
func (l *lane) give() []*process {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.workers
	l.workers = nil
	return all
}

// stop stops everything that belongs to the lane.
func (l *lane) stop() error {
	l.recovery.Wait()
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.end(l.give())
	return errors.Join(l.database.close(), l.log.file.Close())
}

func (l *lane) value(user, pw, masterARN string) string {
	v := map[string]any{"engine": l.world.database.Engine, "host": "127.0.0.1", "port": l.database.port(), "username": user, "password": pw}
	if masterARN != "" {
		v["masterarn"], v["dbname"], v["application"] = masterARN, "shop", "chaos"
	}
	if !l.tls {
		v["ssl"] = false
	}
	text, _ := json.Marshal(v) // texts, numbers and booleans
	return string(text)
}

// intercept passes a call of Secrets Manager through the gate.
func (l *lane) intercept(c secretsmanager.Call) secretsmanager.Fault {
	if c.Done {
		l.mu.Lock()
		this, s := l.lastCall, l.subject
		l.mu.Unlock()
		moved := c.Operation == "UpdateSecretVersionStage" && len(c.Stages) == 1 && c.Stages[0] == "AWSCURRENT"
		if s != nil && moved && c.Error == "" {
			s.promoted()
		}
		return secretsFault(l.gate.at(this, after))
	}
	this := l.gate.begin(smCall, strings.TrimSpace(c.Operation+" "+strings.Join(c.Stages, " ")))
	l.mu.Lock()
	l.lastCall = this
	l.mu.Unlock()
	if f := secretsFault(l.gate.at(this, before)); f != (secretsmanager.Fault{}) {
		return f
	}
	l.gate.at(this, during) // the call is executed whatever happens to the caller
	return secretsmanager.Fault{}
}

func secretsFault(o outcome) secretsmanager.Fault {
	switch {
	case o.cut:
		return secretsmanager.Fault{Drop: true}
	case o.stall:
		return secretsmanager.Fault{Hang: true}
	}
	return o.fault
}

var setsPassword = regexp.MustCompile(`(?is)^\s*(ALTER USER .*(IDENTIFIED|DISCARD OLD)|SET PASSWORD)`)

// forwarding records that a rotation has reached SetPassword. From then on, AWSPREVIOUS is no
// longer promised to work.
func (l *lane) forwarding(statement string) {
	if setsPassword.MatchString(statement) {
		l.mu.Lock()
		s := l.subject
		l.mu.Unlock()
		if s != nil {
			s.reached()
		}
	}
}

// createAccount creates an account by its hash, because a password in a statement would be in the
// server's log. Statements may run twice, because exec repeats them if the answer was lost.
func (w *world) createAccount(ctx context.Context, user, pw, grant, option string) error {
	as, err := w.identified(pw)
	if err != nil {
		return err
	}
	if err := w.exec(ctx, "CREATE USER IF NOT EXISTS '"+user+"'@'%' "+as); err != nil {
		return err
	}
	if err := w.exec(ctx, "GRANT "+grant+" TO '"+user+"'@'%'"+option); err != nil || w.cluster == nil {
		return err
	}
	return w.persist(ctx, func() error { return w.cluster.synchronise(ctx) })
}

// identified returns the clause that sets a password by its hash.
func (w *world) identified(pw string) (string, error) {
	if w.database.Engine == mysqld.MariaDB {
		hash, err := password.Hash("mysql_native_password", pw)
		return fmt.Sprintf("IDENTIFIED VIA mysql_native_password USING '%s'", hash), err
	}
	hash, err := password.Hash("caching_sha2_password", pw)
	return fmt.Sprintf("IDENTIFIED WITH caching_sha2_password AS 0x%x", hash), err
}

// persistTemporal repeats f while Temporal is unreachable.
func (w *world) persistTemporal(ctx context.Context, f func(context.Context) error) error {
	var err error
	for range 300 {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = f(try)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return err
}
