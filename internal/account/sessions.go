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

// sessions counts the connections that are logged in as a user, on this server alone. known is false where the administrator
// may not see other users' connections, which the server itself would answer with none. It reads the administrator's powers
// if it needs them and they are not given.
func (a *Admin) sessions(ctx context.Context, user string, p *powers) (sessions []Session, known bool, err error) {
	var rows []row
	if !a.server.mariadb && a.server.on("performance_schema") {
		rows, err = a.query(ctx, "SELECT t.PROCESSLIST_HOST AS host, COALESCE(p.ATTR_VALUE, '') AS program, COUNT(*) AS n"+
			" FROM performance_schema.threads t LEFT JOIN performance_schema.session_connect_attrs p"+
			" ON p.PROCESSLIST_ID = t.PROCESSLIST_ID AND p.ATTR_NAME = 'program_name'"+
			" WHERE t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_USER = "+quoteValue(user)+
			" AND t.PROCESSLIST_ID <> CONNECTION_ID() GROUP BY 1, 2 ORDER BY 1, 2")
		if err == nil {
			known = true
		} else if e := serverError(err); e == nil || e.Number != errTableDenied {
			return nil, false, fmt.Errorf("look who is logged in as %s: %w", quoteUser(user), err)
		}
	}
	if !known {
		if known, err = a.seesProcesses(ctx, p); err != nil || !known {
			return nil, false, err
		}
		rows, err = a.query(ctx, "SELECT HOST AS host, '' AS program, COUNT(*) AS n FROM information_schema.PROCESSLIST"+
			" WHERE USER = "+quoteValue(user)+" AND ID <> CONNECTION_ID() GROUP BY 1 ORDER BY 1")
		if err != nil {
			return nil, false, fmt.Errorf("look who is logged in as %s: %w", quoteUser(user), err)
		}
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

// seesProcesses says whether the administrator has PROCESS.
func (a *Admin) seesProcesses(ctx context.Context, p *powers) (bool, error) {
	if p == nil {
		if err := a.survey(ctx); err != nil {
			return false, err
		}
		states, err := a.read(ctx, a.name.User)
		if err != nil {
			return false, err
		}
		if p, err = a.powers(ctx, states); err != nil {
			return false, err
		}
	}
	return p.global("PROCESS"), nil
}
