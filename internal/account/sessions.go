package account

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// Sessions counts the sessions of the users on this server by host and program, except for one
// connection. known is false if the administrator cannot list sessions.
func (a *Admin) Sessions(ctx context.Context, except uint64, users ...string) (sessions []grants.Session, known bool, err error) {
	view, err := a.sessionsView(ctx, nil)
	if err != nil || view == "" {
		return nil, false, err
	}
	for _, user := range users {
		rows, err := a.query(ctx, grants.SessionsQuery(user, view, except))
		if err != nil {
			return nil, false, fmt.Errorf("list the sessions of %s: %w", grants.QuoteUser(user), err)
		}
		for _, r := range rows {
			sessions = grants.AddSession(sessions, r)
		}
	}
	return sessions, true, nil
}

// sessionsView returns the view in which the administrator sees everyone's sessions, or "" if there
// is none.
func (a *Admin) sessionsView(ctx context.Context, p *grants.Powers) (string, error) {
	if p == nil {
		if err := a.survey(ctx); err != nil {
			return "", err
		}
		states, err := a.read(ctx, a.name.User)
		if err != nil {
			return "", err
		}
		if p, err = a.powers(ctx, states); err != nil {
			return "", err
		}
	}
	sees := func(name string) bool { return p.MayRead("performance_schema", name) }
	switch {
	case a.server.HasThreadsView() && a.server.On("performance_schema") && sees("threads") && sees("session_connect_attrs"):
		return grants.ThreadsView, nil
	case p.HasGlobal("PROCESS"):
		return "information_schema.PROCESSLIST", nil
	}
	return "", nil
}

// lackingToEnd lists, as text, what the administrator lacks to end other users' sessions.
func (a *Admin) lackingToEnd(ctx context.Context, p *grants.Powers) ([]string, error) {
	view, err := a.sessionsView(ctx, p)
	if err != nil {
		return nil, err
	}
	var lacking []string
	if view == "" {
		lacking = append(lacking, "PROCESS on *.*, to see sessions")
	}
	right := a.server.KillRight()
	if p.HasDynamic(right) || p.HasGlobal(right) || p.HasGlobal("SUPER") && a.server.SuperEndsSessions() {
		return lacking, nil
	}
	rows, err := a.query(ctx, "SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'mysql'"+
		" AND ROUTINE_NAME IN "+grants.QuoteValues(killProcedures))
	if err != nil {
		return nil, fmt.Errorf("find a procedure that ends sessions: %w", err)
	}
	if rows == nil {
		lacking = append(lacking, right+" on *.*, to end sessions")
	}
	return lacking, nil
}

// warnRevoke warns about an administrator that could not carry out a revocation, before one is
// needed.
func (a *Admin) warnRevoke(ctx context.Context, plan *grants.Plan) error {
	lacking, err := a.lackingToEnd(ctx, plan.Powers)
	if err == nil && lacking != nil {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("a rotation that revokes the previous credential would be refused: "+
			"administrator %s lacks %s",
			a.name, strings.Join(lacking, "; ")))
	}
	return err
}

// decideOnSessions decides whether the standby's sessions end when its password changes. If the
// standby was locked while it had a password, its sessions may be those that a revocation was meant
// to end. Once its account is in use, nothing would end them. A locked standby that passed the
// checks on ps was either revoked or taken over by force.
func (a *Admin) decideOnSessions(ctx context.Context, p grants.Pair, ps *grants.Snapshot, plan *grants.Plan) error {
	if p.Revoke { // the necessary rights have been checked
		plan.EndSessions = true
		return nil
	}
	if ps.Standby == nil || !ps.Standby.Locked || p.BearsMark(ps.Standby) {
		return nil
	}
	lacking, err := a.lackingToEnd(ctx, plan.Powers)
	if err != nil {
		return err
	}
	sessions := 0
	for _, s := range plan.Sessions {
		sessions += s.Count
	}
	switch {
	case lacking == nil:
		plan.EndSessions = true
	case sessions > 0:
		return grants.Refuse(grants.MissingRight, "%s of %s opened before it was locked would continue in the account that becomes current: "+
			"administrator %s lacks %s",
			plaintext.Count(sessions, "session"), plan.Standby, a.name, strings.Join(lacking, "; "))
	case !plan.SessionsKnown:
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("sessions of %s opened before it was locked may continue: administrator %s lacks %s",
			plan.Standby, a.name, strings.Join(lacking, "; ")))
	}
	return nil
}

// Ended counts the sessions of a user.
type Ended struct {
	Ended int // that have ended
	Left  int // that have not

	Dropped bool // the account had been dropped before
}

// endSessions ends the user's sessions and waits until they are gone, because a server ends a
// session only when that session next checks. A session shows its user name and host, not its
// account. If the name has several accounts, the sessions of all of them end, and those of the
// others can reconnect.
func (a *Admin) endSessions(ctx context.Context, user string) (Ended, error) {
	view, err := a.sessionsView(ctx, nil)
	if err != nil {
		return Ended{}, err
	}
	if view == "" {
		return Ended{}, grants.Refuse(grants.MissingRight,
			"sessions of %[2]s were not ended because administrator %[1]s cannot list them: GRANT PROCESS ON *.* TO %[1]s",
			a.name, grants.QuoteUser(user))
	}
	all := map[string]bool{}
	for start := time.Now(); ; {
		ids, err := a.sessionIDs(ctx, user, view)
		if err != nil {
			return Ended{}, err
		}
		var failed error
		for _, id := range ids {
			all[id] = true
			failed = cmp.Or(failed, a.kill(ctx, id))
		}
		ended := Ended{Ended: len(all) - len(ids), Left: len(ids)}
		switch {
		case len(ids) == 0:
			return ended, nil
		case mayNotKill(failed) || time.Since(start) >= a.patience:
			return ended, a.notEnded(user, ended, failed)
		}
		select {
		case <-ctx.Done():
			return ended, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

func mayNotKill(err error) bool {
	e := serverError(err)
	return e != nil && (e.Number == errKillDenied || e.Number == errPrivilegeNeeded)
}

// notEnded returns the error for sessions that did not end.
func (a *Admin) notEnded(user string, n Ended, err error) error {
	what := fmt.Sprintf("%s of %s ended and %d did not", plaintext.Count(n.Ended, "session"), grants.QuoteUser(user), n.Left)
	if mayNotKill(err) {
		return grants.Refuse(grants.MissingRight, "%s, because administrator %s may not end them: GRANT %s ON *.* TO %s", what, a.name,
			a.server.KillRight(), a.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return grants.Refuse(grants.Busy, "%s, because the server is still undoing their changes: the step is retried", what)
}

// killProcedures end sessions on clouds whose administrators cannot use KILL: Amazon RDS and Azure.
var killProcedures = []string{"rds_kill", "az_kill"}

// kill ends a session. It is not an error if the session has already ended.
func (a *Admin) kill(ctx context.Context, id string) error {
	err := a.exec(ctx, "KILL "+id)
	e := serverError(err)
	if e != nil && e.Number == errKillDenied {
		// A cloud's administrator cannot use KILL, but can call a procedure that does.
		for _, procedure := range killProcedures {
			instead := a.exec(ctx, "CALL mysql."+procedure+"("+id+")")
			if instead == nil {
				return nil
			}
			if other := serverError(instead); other != nil && other.Number == errNoSuchThread {
				return nil
			}
		}
	}
	if e != nil && e.Number == errNoSuchThread {
		return nil
	}
	return err
}

// sessionIDs returns a user's sessions as the ids that KILL takes.
func (a *Admin) sessionIDs(ctx context.Context, user, view string) ([]string, error) {
	query := "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = "
	if view == grants.ThreadsView {
		query = "SELECT PROCESSLIST_ID AS id FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' AND PROCESSLIST_USER = "
	}
	rows, err := a.query(ctx, query+grants.QuoteValue(user))
	if err != nil {
		return nil, fmt.Errorf("list the sessions of %s: %w", grants.QuoteUser(user), err)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.Text("id"))
	}
	return ids, nil
}
