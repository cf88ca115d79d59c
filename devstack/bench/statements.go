package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// cost is how often something ran, and how many milliseconds that took.
type cost struct {
	count int
	ms    float64
}

// costs are the costs of one rotation by the name of a statement or call.
type costs map[string]cost

func (c costs) add(name string, count int, ms float64) {
	c[name] = cost{c[name].count + count, c[name].ms + ms}
}

// operations times the calls of Secrets Manager.
type operations struct {
	next aws.HTTPClient
	mu   sync.Mutex
	seen costs
}

// Do is called by the AWS SDK.
func (o *operations) Do(r *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := o.next.Do(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	o.seen.add(operation, 1, float64(time.Since(start).Microseconds())/1000)
	return response, err
}

// take returns the calls since it was called last.
func (o *operations) take() costs {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = costs{}
	return seen
}

func newStatementsCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "statements",
		Short: "Measure the statements and calls of the steps, next to those of the raw limit, on every installed server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := stack.Repository(cmd.Context())
			if err != nil {
				return err
			}
			engines := []string{o.stack.Mysqld}
			if o.stack.Mysqld == "" {
				engines = nil
				for _, p := range mysqld.Find() {
					engines = append(engines, p.Engine)
				}
				slices.Sort(engines)
				if engines = slices.Compact(engines); len(engines) == 0 {
					return errors.New("no database server is installed: run make database-server")
				}
				slices.Reverse(engines) // MySQL first
			}
			for _, engine := range engines {
				o.stack.Mysqld, o.stack.Dir = engine, filepath.Join(root, ".devstack", "statements")
				if err := errors.Join(os.RemoveAll(o.stack.Dir), o.statements(cmd.Context(), cmd.OutOrStdout())); err != nil {
					return fmt.Errorf("%s: %w", engine, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&o.rounds, "rounds", 100, "how many rotations to measure")
	cmd.Flags().StringVar(&o.stack.Mysqld, "mysqld", "", "measure one server only: mysql, mariadb or a path")
	return cmd
}

// statements measures one server and prints its table.
func (o options) statements(ctx context.Context, out io.Writer) (err error) {
	o.stack.MySQLArgs = []string{"--performance-schema=ON"}
	o.stack.TemporalAddress = "none" // the steps run without Temporal
	b := &bench{options: o, run: randomText()[:8], masterID: stack.MasterSecret, silent: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	if b.Stack, err = stack.Start(ctx, o.stack); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	calls := &operations{next: awshttp.NewBuildableClient(), seen: costs{}}
	client := b.Client.Options()
	client.HTTPClient = calls
	b.Client = awssm.New(client)
	if b.roots, err = b.RootCAs(); err != nil {
		return err
	}
	if b.pool, err = b.Database.Open(b.Database.AdminUser, b.Database.AdminPassword); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	steps, err := b.newSubject(ctx, "steps")
	if err != nil {
		return err
	}
	limit, err := b.newSubject(ctx, "limit")
	if err != nil {
		return err
	}
	d := b.newDirect()
	d.a.Secrets = secret.NewStore(b.Client)
	defer func() { err = errors.Join(err, d.close()) }()
	both := []*measured{
		{run: func() error { return d.rotate(steps) }},
		{run: func() error { return b.limit(ctx, limit) }},
	}
	const warmUp = 5
	for round := range o.rounds + warmUp {
		for _, m := range both {
			if err := m.measure(ctx, b.pool, calls, round >= warmUp); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "%s %s, %d rounds:\n\n%s\n", b.Engine, b.Version, o.rounds, statementsTable(both[0], both[1]))
	return nil
}

// measured is what was measured in all rounds.
type measured struct {
	samples
	run    func() error
	rounds []costs
}

// measure runs one round, and finds what it added to the server's counters.
func (m *measured) measure(ctx context.Context, db *sql.DB, calls *operations, counts bool) error {
	before, err := settled(ctx, db)
	if err != nil {
		return err
	}
	calls.take()
	ms, err := timed(m.run)
	if err != nil {
		return err
	}
	after, err := settled(ctx, db)
	if err != nil || !counts {
		return err
	}
	round := costs{}
	for operation, c := range calls.take() {
		round.add("call: "+operation, c.count, c.ms)
	}
	for text, c := range after {
		if n := c.count - before[text].count; n > 0 {
			round.add(statementName(text), n, c.ms-before[text].ms)
		}
	}
	m.samples, m.rounds = append(m.samples, ms), append(m.rounds, round)
	return nil
}

// settled returns the counters when they no longer change: a server counts a statement after it has answered.
func settled(ctx context.Context, db *sql.DB) (costs, error) {
	for before := (costs)(nil); ; {
		now, err := digests(ctx, db)
		if err != nil || maps.Equal(before, now) {
			return now, err
		}
		before = now
	}
}

// digests returns the server's counters of all statements but its own, by their digests.
func digests(ctx context.Context, db *sql.DB) (costs, error) {
	const table = "events_statements_summary_by_digest"
	rows, err := db.QueryContext(ctx, "SELECT COALESCE(DIGEST_TEXT, 'others: the table of digests is full'), COUNT_STAR, SUM_TIMER_WAIT / 1e9 FROM performance_schema."+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := costs{}
	for rows.Next() {
		var text string
		var c cost
		if err := rows.Scan(&text, &c.count, &c.ms); err != nil {
			return nil, err
		}
		if !strings.Contains(text, table) {
			all.add(text, c.count, c.ms)
		}
	}
	if len(all) == 0 && rows.Err() == nil {
		return nil, errors.New("performance_schema counts no statements: is its consumer statements_digest on?")
	}
	return all, rows.Err()
}
