package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// usersOn are users of one server, and own says which secret they are known to be of.
type usersOn struct {
	server string
	users  []string
	own    func(secretID string) bool
}

// rotating is what a rotation answers of itself.
type rotating struct {
	SecretID        string `json:"SecretId"`
	Username        string `json:"Username"`
	StandbyUsername string `json:"StandbyUsername"`
	DatabaseHost    string `json:"DatabaseHost"`
}

// shares reports whether another secret's rotation rotates one of the users.
func (u usersOn) shares(r rotating) bool {
	return r.DatabaseHost == u.server && !u.own(r.SecretID) &&
		(slices.Contains(u.users, r.Username) || slices.Contains(u.users, r.StandbyUsername))
}

const (
	queriesAtOnce = 16
	// lookTime bounds a look at all rotations that there are on one server.
	lookTime = 30 * time.Second
)

// looking is held by the one look at others' rotations that a worker takes for refusals: when a whole fleet is refused, each
// rotation would ask all the others.
var looking sync.Mutex

// rotationsOf lists the workflows of this namespace that run and have rotated one of the users for another secret. Those that do
// not answer in time are not among them.
func (t *attempt) rotationsOf(ctx context.Context, users usersOn) (ids []string, err error) {
	if t.Temporal == nil { // a test of the activities alone
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	all, err := t.rotationsOn(ctx, users.server)
	if err != nil {
		return nil, fmt.Errorf("look for other rotations of %s on %s: %w", strings.Join(users.users, " and "), users.server, err)
	}
	found := make([]bool, len(all))
	var g errgroup.Group
	g.SetLimit(queriesAtOnce)
	for i, id := range all {
		g.Go(func() error {
			answer, err := t.statusOf(ctx, id)
			found[i] = err == nil && users.shares(answer)
			return nil
		})
	}
	_ = g.Wait()
	for i, id := range all {
		if found[i] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// rotationsOn lists the rotations that may be of users on a server: in a cluster without the search attribute all that run.
func (t *attempt) rotationsOn(ctx context.Context, server string) (ids []string, err error) {
	query := "WorkflowType = '" + rotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("%s AND (%s = '%s' OR %[2]s IS NULL)", query, databaseHost, strings.ReplaceAll(server, "'", "''"))}
	for {
		page, err := t.Temporal.ListWorkflow(ctx, request)
		var unknown *serviceerror.InvalidArgument
		if errors.As(err, &unknown) && request.Query != query {
			request.Query = query
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, execution := range page.GetExecutions() {
			ids = append(ids, execution.GetExecution().GetWorkflowId())
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return ids, nil
		}
	}
}

// statusOf asks a rotation what it rotates.
func (t *attempt) statusOf(ctx context.Context, workflowID string) (status rotating, err error) {
	ctx, cancel := context.WithTimeout(ctx, answersSoon)
	defer cancel()
	answer, err := t.Temporal.QueryWorkflow(ctx, workflowID, "", statusQuery)
	if err != nil {
		return rotating{}, err
	}
	return status, answer.Get(&status)
}

// nameOther adds to a refusal that an account's password or the account itself is not the secret's which rotation it belongs
// to, where one of this namespace knows it.
func (t *attempt) nameOther(ctx context.Context, s *subject, err error) error {
	refused, ok := errors.AsType[*grants.Refusal](err)
	if !ok || !slices.Contains([]string{grants.ForeignPassword, grants.NotOurs, grants.WrongPassword}, refused.Reason) || !looking.TryLock() {
		return err
	}
	defer looking.Unlock()
	others, lookErr := t.rotationsOf(ctx, usersOn{s.Server, []string{s.current.Username, s.accounts.Standby}, s.current.Is})
	if lookErr != nil {
		activity.GetLogger(ctx).Warn("which other rotation has these accounts is unknown", "secret", s.SecretID, "error", t.scrub(lookErr))
	}
	if len(others) == 0 {
		return err
	}
	return fmt.Errorf("%w. The workflow %s rotates %s or %s too: let one secret have them, and give whoever reads the other one a user of its own",
		err, strings.Join(others, " and "), s.current.Username, s.accounts.Standby)
}

// lingering is how long a server is given to forget a login that has ended, of a rotation or a command a moment ago.
const lingering = 3 * time.Second

// inUse lists who else uses the accounts of a deletion: rotations of other secrets, and who is logged in. known is false where
// the administrator may not look who is. own is a connection of ours.
func (t *attempt) inUse(ctx context.Context, admin *account.Admin, d rotation.Deletion, own uint64, is func(string) bool) (by []string, known bool, err error) {
	var users []string
	for _, n := range d.Accounts {
		users = append(users, n.User)
	}
	others, err := t.rotationsOf(ctx, usersOn{d.Server, users, is})
	if err != nil {
		return nil, false, err
	}
	for _, id := range others {
		by = append(by, "the workflow "+id+" rotates them for another secret")
	}
	var loggedIn []grants.Session
	for end := time.Now().Add(lingering); ; {
		if loggedIn, known, err = admin.Sessions(ctx, own, users...); err != nil || len(loggedIn) == 0 || time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, line := range sessions(loggedIn) {
		by = append(by, "logged in: "+line)
	}
	return lines(by), known, err
}
