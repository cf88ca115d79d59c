package account

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Session counts connections of one user from one host and program.
type Session struct {
	Host    string // without port
	Program string // as the client calls itself; empty where the server does not tell
	Count   int
}

// sessions counts the connections that are logged in as a user, on this server alone. known is false if the administrator
// may not see other users' connections, which the server itself would answer with none. It reads the administrator's powers
// if they are not given.
func (a *Admin) sessions(ctx context.Context, user string, p *powers) (sessions []Session, known bool, err error) {
	view, err := a.sessionsView(ctx, p)
	if err != nil || view == "" {
		return nil, false, err
	}
	query := "SELECT HOST AS host, '' AS program, COUNT(*) AS n FROM information_schema.PROCESSLIST" +
		" WHERE USER = " + quoteValue(user) + " AND ID <> CONNECTION_ID() GROUP BY 1 ORDER BY 1"
	if view == threads {
		query = "SELECT t.PROCESSLIST_HOST AS host, COALESCE(p.ATTR_VALUE, '') AS program, COUNT(*) AS n" +
			" FROM performance_schema.threads t LEFT JOIN performance_schema.session_connect_attrs p" +
			" ON p.PROCESSLIST_ID = t.PROCESSLIST_ID AND p.ATTR_NAME = 'program_name'" +
			" WHERE t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_USER = " + quoteValue(user) +
			" AND t.PROCESSLIST_ID <> CONNECTION_ID() GROUP BY 1, 2 ORDER BY 1, 2"
	}
	rows, err := a.query(ctx, query)
	if err != nil {
		return nil, false, fmt.Errorf("look who is logged in as %s: %w", quoteUser(user), err)
	}
	counts := map[Session]int{}
	var order []Session
	for _, r := range rows {
		s := Session{Host: r.text("host"), Program: r.text("program")}
		if host, _, err := net.SplitHostPort(s.Host); err == nil {
			s.Host = host
		}
		if counts[s] == 0 {
			order = append(order, s)
		}
		n, _ := strconv.Atoi(r.text("n")) // a count
		counts[s] += n
	}
	for _, s := range order {
		s.Count = counts[s]
		sessions = append(sessions, s)
	}
	return sessions, true, nil
}

// threads is the view of sessions that tells programs too, and asks for SELECT rather than for PROCESS.
const threads = "performance_schema.threads"

// sessionsView is the view in which the administrator sees everyone's sessions; empty if there is none.
func (a *Admin) sessionsView(ctx context.Context, p *powers) (string, error) {
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
	sees := func(name string) bool {
		return p.holds("SELECT", right{kind: table, a: "performance_schema", b: name})
	}
	switch {
	case !a.server.mariadb && a.server.on("performance_schema") && sees("threads") && sees("session_connect_attrs"):
		return threads, nil
	case p.global("PROCESS"):
		return "information_schema.PROCESSLIST", nil
	}
	return "", nil
}
