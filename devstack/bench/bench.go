package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
)

// bench is the stack under test and what was measured on it.
type bench struct {
	options
	*stack.Stack

	bin string // the directory with the programs
	// baselineBin and baselineName are the programs of the baseline and its revision; empty if there is none.
	baselineBin, baselineName string

	progress io.Writer
	silent   log.Logger
	temporal client.Client
	roots    *x509.CertPool
	observer *sql.Conn // the administrator's connection that reads the database's counters
	observed *sql.DB
	pool     *sql.DB // the administrator's connections that create users
	run      string  // makes the names of this run unique
	masterID string
	noop     *queue

	attributes bool // the namespace has the search attributes

	calls tally // of the activities in this process

	report report
}

func newBench(ctx context.Context, o options, bin string, progress io.Writer) (_ *bench, err error) {
	b := &bench{options: o, bin: bin, progress: progress, silent: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	if b.Stack, err = stack.Start(ctx, o.stack); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	b.run = randomText()[:8]
	b.masterID = stack.MasterSecret
	if b.temporal, err = b.dial(ctx); err != nil {
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	_, master, err := b.Read(ctx, b.masterID, "AWSCURRENT")
	if err != nil {
		return nil, err
	}
	if b.pool, err = b.Open(master.Username, master.Password); err != nil {
		return nil, err
	}
	if b.observed, err = b.Open(master.Username, master.Password); err != nil {
		return nil, err
	}
	if b.observer, err = b.observed.Conn(ctx); err != nil {
		return nil, err
	}
	if b.roots, err = b.RootCAs(); err != nil {
		return nil, err
	}
	if b.latency > 0 && b.Secrets == nil {
		return nil, errors.New("--secretsmanager-latency is of our own Secrets Manager endpoint: leave out --secretsmanager-endpoint")
	}
	b.delay(b.latency)
	b.report.machine(b.Engine+" "+b.Version, b.latency)
	b.noop, err = b.startProgram(ctx, "noop", "noop")
	return b, err
}

// delay lets each call of our own Secrets Manager endpoint take so much longer from now on.
func (b *bench) delay(by time.Duration) {
	switch {
	case b.Secrets == nil:
	case by == 0:
		b.Secrets.Intercept(nil)
	default:
		b.Secrets.Intercept(func(c secretsmanager.Call) secretsmanager.Fault {
			if !c.Done {
				time.Sleep(by)
			}
			return secretsmanager.Fault{}
		})
	}
}

func (b *bench) dial(ctx context.Context) (client.Client, error) {
	if b.Temporal != nil {
		return client.DialContext(ctx, client.Options{HostPort: b.Temporal.Address(), Namespace: temporal.Namespace, Logger: b.silent})
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, err
	}
	options.HostPort, options.Logger = b.stack.TemporalAddress, b.silent
	return client.DialContext(ctx, options)
}

func (b *bench) close() error {
	var errs []error
	if b.temporal != nil {
		b.temporal.Close()
	}
	if b.observer != nil {
		errs = append(errs, b.observer.Close())
	}
	for _, db := range []*sql.DB{b.observed, b.pool} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, b.Stop())...)
}

// counted returns a client of Secrets Manager that counts its calls as they leave this process.
func (b *bench) counted() *awssm.Client {
	o := b.Client.Options()
	o.HTTPClient = counter{next: awshttp.NewBuildableClient(), calls: &b.calls}
	return awssm.New(o)
}

type counter struct {
	next  aws.HTTPClient
	calls *tally
}

func (c counter) Do(r *http.Request) (*http.Response, error) {
	c.calls.count(r)
	defer c.calls.time(time.Now())
	time.Sleep(c.calls.slow)
	return c.next.Do(r)
}

// tally counts calls to Secrets Manager, and among them the writes: the operations that share its quota of 50 per second in
// an account and region.
type tally struct {
	all, writes atomic.Int64

	slow  time.Duration // added to each call, so that concurrent calls overlap
	mu    sync.Mutex
	calls []call
}

// call is the time during which a call ran.
type call struct{ from, to time.Time }

// time records a slow call that started at began and ends now.
func (t *tally) time(began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slow == 0 {
		return
	}
	t.calls = append(t.calls, call{began, time.Now()})
}

// inSequence returns how many of the calls ran one after the other. A rotation takes at least that many round trips.
func (t *tally) inSequence() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(t.calls, func(a, b call) int { return a.to.Compare(b.to) })
	var end time.Time
	for _, c := range t.calls {
		if !c.from.Before(end) {
			n, end = n+1, c.to
		}
	}
	return n
}

func (t *tally) count(r *http.Request) {
	t.all.Add(1)
	switch r.Header.Get("X-Amz-Target") {
	case "secretsmanager.PutSecretValue", "secretsmanager.UpdateSecret", "secretsmanager.UpdateSecretVersionStage":
		t.writes.Add(1)
	}
}

// spent is what an operation cost on the two servers.
type spent struct {
	SMCalls          int `json:"sm_calls"`
	SMWrites         int `json:"sm_writes"`
	MySQLConnections int `json:"mysql_connections"`
	MySQLRefused     int `json:"mysql_refused"` // of the connections
	MySQLStatements  int `json:"mysql_statements"`
}

// spends returns what f costs by the tally of its calls and by the database's counters. The
// database must have no other user meanwhile.
func (b *bench) spends(ctx context.Context, calls *tally, f func() error) (s spent, err error) {
	before, err := b.look(ctx)
	if err != nil {
		return s, err
	}
	all, writes := calls.all.Load(), calls.writes.Load()
	if err := f(); err != nil {
		return s, err
	}
	after, err := b.look(ctx)
	return spent{
		SMCalls: int(calls.all.Load() - all), SMWrites: int(calls.writes.Load() - writes),
		MySQLConnections: after.connections - before.connections, MySQLRefused: after.refused - before.refused,
		MySQLStatements: after.statements - before.statements,
	}, err
}

// counters are the database's counters since its start.
type counters struct{ connections, refused, statements int }

// look reads the database's counters. Statements are all that its parser has seen, including the
// driver's own.
func (b *bench) look(ctx context.Context) (c counters, err error) {
	rows, err := b.observer.QueryContext(ctx, `SHOW GLOBAL STATUS WHERE Variable_name IN ('Connections', 'Aborted_connects') OR Variable_name LIKE 'Com\_%' AND Variable_name NOT IN ('Com_admin_commands', 'Com_show_status')`)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return c, err
		}
		var n int
		if _, err := fmt.Sscan(value, &n); err != nil {
			continue // some values are text
		}
		switch name {
		case "Connections":
			c.connections = n
		case "Aborted_connects":
			c.refused = n
		default:
			c.statements += n
		}
	}
	return c, rows.Err()
}

// each calls f for 0 to n-1, several at once, and returns the first error.
func each(ctx context.Context, n, atOnce int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func randomText() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
