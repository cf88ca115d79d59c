package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// Nodes reports which nodes of a cluster could not be shown to have a password from the start.
type Nodes struct {
	Unasked []string // why nodes could not be asked, one per line
	Mended  []string // which nodes stored another password, one per line
}

// repairs limits how often a password is set again because a node stores another one.
const repairs = 2

// AwaitNodes waits until every node that this session's address leads to has the password of the
// account n, and names the nodes that could not be asked. If the server is not a node of a cluster,
// it does nothing. It refuses a node that stays behind, or is cut off and still answers. If a node
// stores another password while the session's own node stores the right one, it sets the password
// again, by SetPassword with like and fence, because a single statement makes all nodes equal.
func (a *Admin) AwaitNodes(ctx context.Context, n, like grants.Name, pw string,
	fence func(context.Context, grants.Stored) error) (stand Nodes, err error) {
	if !a.server.Clustered() {
		return Nodes{}, nil
	}
	for try := 1; ; try++ {
		stand.Unasked, err = a.AskNodes(ctx, n, pw)
		differs, ok := errors.AsType[*grants.Refusal](err)
		if !ok || !differs.SetAgain || try > repairs {
			return stand, err
		}
		if _, err := a.SetPassword(ctx, n, like, pw, fence); err != nil {
			return stand, fmt.Errorf("%s; set it again: %w", differs.Message, err)
		}
		stand.Mended = append(stand.Mended, differs.Message+"; it was set again")
	}
}

// AskNodes is AwaitNodes without any change: it refuses a node that stores another password.
func (a *Admin) AskNodes(ctx context.Context, account grants.Name, pw string) (unasked []string, err error) {
	first, err := a.askNode(ctx)
	if err != nil || first.id == "" || first.state == "OFFLINE" { // configured for a group, but writable outside it
		return nil, err
	}
	if err := a.hasPassword(ctx, first, account, pw); err != nil {
		return nil, cannotRepair(err) // the other nodes are compared with this one
	}
	size := first.size
	if size == 0 {
		size = maxMembers
	}
	asked := map[string]bool{first.id: true}
	through, err := a.newConnections()
	if err != nil {
		return nil, err
	}
	defer through.Close()
	ask := func(connections int) error {
		for range connections {
			if err := a.askOn(ctx, through, a.home.at, asked, account, pw); err != nil {
				return err
			}
		}
		return nil
	}
	if err := ask(fewConnections * size); err != nil {
		return nil, err
	}
	listed := a.nodes(ctx)
	whyNot := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		if asked[id] {
			continue
		}
		if whyNot[id], err = a.askAt(ctx, asked, listed[id], account, pw); err != nil {
			return nil, err
		}
	}
	for range (manyConnections - fewConnections) * size {
		if first.size == 0 || len(asked) >= size {
			break
		}
		if err := ask(1); err != nil {
			return nil, err
		}
	}
	return a.namedUnasked(account, first, size, asked, listed, whyNot), nil
}

// namedUnasked lists the nodes that were not asked, and why.
func (a *Admin) namedUnasked(account grants.Name, first node, size int, asked map[string]bool, listed map[string]listedNode,
	whyNot map[string]string) []string {
	var unasked []string
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		if !asked[id] {
			unasked = append(unasked, fmt.Sprintf("node %s of the cluster could not be asked for the new password of %s: "+
				"%s does not lead to it, and %s",
				listed[id].name, account, a.home.at, whyNot[id]))
		}
	}
	switch missing := size - len(asked) - len(unasked); {
	case first.size == 0:
		unasked = append(unasked, fmt.Sprintf("it is unknown whether all members of the group have the new password of %s:"+
			" GRANT SELECT ON performance_schema.replication_group_members TO %s", account, a.name))
	case missing > 0:
		unasked = append(unasked, fmt.Sprintf("%d of %d nodes of the cluster could not be asked for the new password of %s: "+
			"%s does not lead to them",
			missing, size, account, a.home.at))
	}
	return unasked
}

// hasPassword waits until this session's node has everything that the others have. It refuses a
// node that does not store the password for the account.
func (a *Admin) hasPassword(ctx context.Context, n node, account grants.Name, pw string) error {
	if err := n.check(); err != nil {
		return err
	}
	if err := a.readBehindOthers(ctx); err != nil {
		return err
	}
	states, err := a.readNamed(ctx, account)
	if err != nil {
		return fmt.Errorf("read %s on %s: %w", account, n, a.deniedRead(ctx, err))
	}
	for _, s := range states {
		if s.Name != account {
			continue
		}
		if same, err := s.Stored().Matches(pw); err != nil || same && !s.Locked {
			return err
		}
		return &grants.Refusal{Reason: grants.NodeDiffers, SetAgain: true,
			Message: fmt.Sprintf("%s does not store the new password of %s, or has it locked, although it has everything"+
				" that the others have: the account was changed on only one node, or on two at the same time", n, account)}
	}
	return grants.Refuse(grants.NodeDiffers, "%s has no account %s, although it has everything that the others have: "+
		"it was dropped on only one node;"+
		" remove that node, and make it join again with the data of another one", n, account)
}

// cannotRepair turns a refusal into one that does not ask for the password to be set again.
func cannotRepair(err error) error {
	if r, ok := errors.AsType[*grants.Refusal](err); ok && r.SetAgain {
		return grants.Refuse(r.Reason, "%s, or by another rotation; rotate again, which sets its password on all of them", r.Message)
	}
	return err
}

// The address decides to which node a new connection leads. If the first few all lead to one node,
// the address is taken to lead only to that node. If many connections do not lead to all nodes, it
// is taken to lead to some of them.
const (
	fewConnections  = 2 // times the nodes
	manyConnections = 8
)

// maxMembers is the largest number of members in a group.
const maxMembers = 9

// newConnections returns a pool for the session's own address that opens a new connection each
// time.
func (a *Admin) newConnections() (*sql.DB, error) {
	db, err := a.dialer.servers.Open(a.home.login)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(-1)
	return db, nil
}

// askOn asks the node that a new connection leads to, unless it was asked before. A failed
// connection is not an error: a node that is down refuses every login, whatever the password.
func (a *Admin) askOn(ctx context.Context, db *sql.DB, at Endpoint, asked map[string]bool, account grants.Name, pw string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return context.Cause(ctx)
	}
	defer conn.Close()
	other := &Admin{conn: conn, home: a.home, pool: &pool{db: db, at: at, login: a.home.login}, dialer: a.dialer, name: a.name,
		roles: a.roles, server: a.server}
	n, err := other.askNode(ctx)
	if err != nil || asked[n.id] {
		return err
	}
	if n.grouped {
		if err := other.exec(ctx, patienceForGroup); err != nil {
			return err
		}
	}
	if err := other.hasPassword(ctx, n, account, pw); err != nil {
		return err
	}
	asked[n.id] = true
	return nil
}

// reachTimeout limits the attempt to reach a node at the address that it reports, which may be one
// that only other nodes can reach.
const reachTimeout = 3 * time.Second

// askAt asks a node at its own address, or returns why it could not.
func (a *Admin) askAt(ctx context.Context, asked map[string]bool, m listedNode, account grants.Name, pw string) (why string, err error) {
	at, ok := m.endpoint(a.home.at)
	if !ok {
		return "it does not report an address, or the administrator does not log in with TLS", nil
	}
	login := a.home.login.Clone()
	login.Addr = at.String()
	login.TLS, _ = a.dialer.tlsConfig(at.Host)
	db, err := a.dialer.servers.Open(login)
	if err != nil {
		return "", err
	}
	defer db.Close()
	reach, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := db.PingContext(reach); err != nil {
		return "it cannot be reached at " + at.String(), nil
	}
	return "its address leads to another node", a.askOn(ctx, db, at, asked, account, pw)
}
