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

// usersOn are users of one server. own reports whether they are known to belong to the given
// secret.
type usersOn struct {
	server string
	users  []string
	own    func(secretID string) bool
}

// rotating is a rotation's answer to a query for its status.
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
	// lookTime limits the search of all rotations on one server.
	lookTime = 30 * time.Second
)

// looking ensures that a worker makes only one search at a time to explain a refusal. Otherwise, if
// a whole fleet were refused, each rotation would query all the others.
var looking sync.Mutex

// rotationsOf returns the running workflows of this namespace that have rotated one of the users for another
// secret, except those that do not answer in time.
func (a *Activities) rotationsOf(ctx context.Context, users usersOn) (ids []string, err error) {
	if a.Temporal == nil { // a test of the activities alone
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	all, err := a.rotationsOn(ctx, users.server)
	if err != nil {
		return nil, fmt.Errorf("search for other rotations of %s on %s: %w", strings.Join(users.users, " and "), users.server, err)
	}
	found := make([]bool, len(all))
	var g errgroup.Group
	g.SetLimit(queriesAtOnce)
	for i, id := range all {
		g.Go(func() error {
			answer, err := a.statusOf(ctx, id)
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

// rotationsOn returns the running rotations that may be for users on a server. On a cluster without
// the search attribute, it returns all running rotations.
func (a *Activities) rotationsOn(ctx context.Context, server string) (ids []string, err error) {
	query := "WorkflowType = '" + rotation.RotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("%s AND (%s = '%s' OR %[2]s IS NULL)",
		query, rotation.DatabaseHostKey.GetName(), strings.ReplaceAll(server, "'", "''"))}
	for {
		page, err := a.Temporal.ListWorkflow(ctx, request)
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

// statusOf queries a rotation for the users that it rotates.
func (a *Activities) statusOf(ctx context.Context, workflowID string) (status rotating, err error) {
	ctx, cancel := context.WithTimeout(ctx, answersSoon)
	defer cancel()
	answer, err := a.Temporal.QueryWorkflow(ctx, workflowID, "", rotation.StatusQuery)
	if err != nil {
		return rotating{}, err
	}
	return status, answer.Get(&status)
}

// nameOther adds to the refusal of an account, which does not belong to the secret or has another
// password, the rotation in this namespace that uses the account, if any.
func (a *Activities) nameOther(ctx context.Context, s *subject, err error) error {
	refused, ok := errors.AsType[*grants.Refusal](err)
	foreign := ok && slices.Contains([]string{grants.ForeignPassword, grants.NotOurs, grants.WrongPassword}, refused.Reason)
	if !foreign || !looking.TryLock() {
		return err
	}
	defer looking.Unlock()
	others, lookErr := a.rotationsOf(ctx, usersOn{s.Server, []string{s.current.Username, s.accounts.Standby}, s.current.Is})
	if lookErr != nil {
		activity.GetLogger(ctx).Warn("other rotations of these accounts were not found", "secret", s.SecretID, "error", lookErr)
	}
	if len(others) == 0 {
		return err
	}
	return fmt.Errorf("%w. The workflow %s also rotates %s or %s: use one secret for them, "+
		"and give the clients of the other secret their own user",
		err, strings.Join(others, " and "), s.current.Username, s.accounts.Standby)
}

// lingering is how long a server may still list a login that has ended, such as one of a rotation
// or command a moment ago.
const lingering = 3 * time.Second

// inUse returns what else uses the accounts of a deletion: rotations of other secrets, and
// sessions. known is false if the administrator cannot list the sessions. own is a connection of
// ours.
func (a *Activities) inUse(
	ctx context.Context, admin *account.Admin, d rotation.Deletion, own uint64, is func(string) bool,
) (by []string, known bool, err error) {
	var users []string
	for _, n := range d.Accounts {
		users = append(users, n.User)
	}
	others, err := a.rotationsOf(ctx, usersOn{d.Server, users, is})
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
