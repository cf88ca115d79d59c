package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// pace is a client's pause between two logins. It lets a dozen secrets leave two processors enough
// room for rotations.
const pace = 40 * time.Millisecond

// credential is one version of a secret, as a client reads it.
type credential struct {
	version            string
	Username, Password string
}

// watch starts the clients of a secret. One continuously reads AWSCURRENT, logs in and runs a
// query. The other one does the same with AWSPREVIOUS as long as that is promised to work.
//
// The clients bypass the proxies through which the workers are cut off, so that only the database
// itself decides about their queries. A violation is a database that refuses the credential while
// the version still has its label. If the database is down, frozen or full, a client retries with
// the same credential until the database answers.
func (s *subject) watch(ctx context.Context) {
	ctx, s.clients = context.WithCancel(ctx)
	s.clientsWG.Go(func() { s.client(ctx, current) })
	s.clientsWG.Go(func() { s.client(ctx, previous) })
}

func (s *subject) client(ctx context.Context, label string) {
	r := s.lane.report
	var without time.Time // when the client last had a working credential
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(pace):
		}
		if label == previous && !s.previousIsPromised() {
			continue
		}
		c, err := s.read(ctx, label)
		var none *types.ResourceNotFoundException
		if label == previous && errors.As(err, &none) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			r.violate("%s: cannot read %s: %v", s.user, label, err)
			continue
		}
		err = s.lane.persist(ctx, func() error {
			r.tried.Add(1)
			err := s.lane.query(ctx, c)
			if err != nil && outOfReach(err) {
				r.unreachable.Add(1)
			}
			return err
		})
		switch {
		case ctx.Err() != nil:
		case err == nil:
			if !without.IsZero() {
				r.addOutage(time.Since(without))
				without = time.Time{}
			}
		case s.promises(ctx, c.version):
			r.failed.Add(1)
			r.violate("%s: version %s (%s) of user %s does not log in: %v", s.user, c.version, label, c.Username, err)
			if label == current && without.IsZero() {
				without = time.Now()
			}
		default:
			r.superseded.Add(1) // replaced between the read and the login
		}
	}
	if !without.IsZero() {
		r.addOutage(time.Since(without))
	}
}

func (s *subject) read(ctx context.Context, label string) (credential, error) {
	out, err := s.lane.secretsManager.GetSecretValue(ctx, &awssm.GetSecretValueInput{SecretId: &s.arn, VersionStage: &label})
	if err != nil {
		return credential{}, err
	}
	c := credential{version: *out.VersionId}
	return c, json.Unmarshal([]byte(*out.SecretString), &c)
}

// query logs in directly and does what the user may do.
func (w *world) query(ctx context.Context, c credential) error {
	db, err := w.clients(c.Username, c.Password)
	if err != nil {
		return err
	}
	defer db.Close()
	// COUNT(*) would make MySQL start threads that count, even for one row.
	if err := db.QueryRowContext(ctx, "SELECT id FROM shop.orders LIMIT 1").Scan(new(int)); err != nil {
		return fmt.Errorf("the query: %w", err)
	}
	return nil
}

// promises reports whether a version that did not log in was still promised to.
func (s *subject) promises(ctx context.Context, version string) bool {
	// The order matters: the promise for AWSPREVIOUS ends before the label moves.
	alive := s.previousIsPromised()
	labels, err := s.labels(ctx)
	if err != nil {
		return ctx.Err() == nil
	}
	return labels[current] == version || labels[previous] == version && alive && s.previousIsPromised()
}

// labels returns the version that each label is on.
func (s *subject) labels(ctx context.Context) (map[string]string, error) {
	out, err := s.lane.secretsManager.DescribeSecret(ctx, &awssm.DescribeSecretInput{SecretId: &s.arn})
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for version, names := range out.VersionIdsToStages {
		for _, name := range names {
			labels[name] = version
		}
	}
	return labels, nil
}
