package account

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A statement on one node of a Galera cluster takes effect on the others a little later, and on one that is held by a backup
// when that ends. No login waits for it: a node may refuse a password that another has.

// galera reports whether the server is a node of a Galera cluster.
func (s *server) galera() bool { return s.on("wsrep_on") }

// InGalera reports whether the session's server is a node of a Galera cluster, whose nodes learn of a change one by one.
func (a *Admin) InGalera() bool { return a.server.galera() }

// readBehindOthers makes the session's reads on a node wait until it has what the others had when the read began.
func (a *Admin) readBehindOthers(ctx context.Context) error {
	if !a.server.galera() {
		return nil
	}
	if err := a.exec(ctx, "SET SESSION wsrep_sync_wait = @@SESSION.wsrep_sync_wait | 1"); err != nil {
		return fmt.Errorf("make reads wait for the other nodes: %w", err)
	}
	return nil
}

// ofNode says more of an error that comes of the state of a node.
func (a *Admin) ofNode(ctx context.Context, err error) error {
	e := serverError(err)
	if e == nil || !a.server.galera() || e.Number != errUnknownCommand && e.Number != errLockWait {
		return err
	}
	n, asked := a.askNode(ctx)
	if asked != nil {
		return err
	}
	if refused := n.check(); refused != nil {
		return refused
	}
	return refuse(NodeBehind, "%s is behind the others, or held by a backup (%s): wait until the backup ends, or end it", n, e.Message)
}

// node is what a node of a cluster says of itself.
type node struct {
	id, name, at         string
	size                 int // how many nodes the cluster has, itself included
	ready, status, state string
}

func (n node) String() string { return "node " + n.name + " of the cluster at " + n.at }

// check refuses a node that answers from what it knew when it lost the others.
func (n node) check() error {
	switch {
	case n.status != "Primary":
		return refuse(NoQuorum, "%s has no quorum (wsrep_cluster_status is %s): it answers logins with what it knew before it lost the others;"+
			" connect it to them, or take it off that address", n, n.status)
	case n.ready != "ON":
		return refuse(NoQuorum, "%s is not ready (%s): wait until it has joined the others, or take it off that address", n, n.state)
	}
	return nil
}

// askNode asks what a node answers in every state.
func (a *Admin) askNode(ctx context.Context) (node, error) {
	n, err := askState(ctx, a.conn, a.pool.at)
	return n, cause(ctx, err)
}

// askState asks what every user may ask. The id is empty if the server is not a node.
func askState(ctx context.Context, conn *sql.Conn, at Endpoint) (node, error) {
	n := node{name: "(unknown)", at: at.String()}
	rows, err := conn.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN"+
		" ('wsrep_gcomm_uuid', 'wsrep_cluster_size', 'wsrep_cluster_status', 'wsrep_ready', 'wsrep_local_state_comment')")
	if err != nil {
		return n, fmt.Errorf("ask for the state of the server: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return n, err
		}
		switch strings.ToLower(name) {
		case "wsrep_gcomm_uuid":
			n.id = value
		case "wsrep_cluster_size":
			n.size, _ = strconv.Atoi(value) // a number
		case "wsrep_cluster_status":
			n.status = value
		case "wsrep_ready":
			n.ready = value
		case "wsrep_local_state_comment":
			n.state = value
		}
	}
	if err := rows.Err(); err != nil || n.id == "" {
		return n, err
	}
	var variable string // a SELECT would wait for the other nodes
	if err := conn.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_node_name'").Scan(&variable, &n.name); err != nil {
		return n, fmt.Errorf("ask for the name of the node: %w", err)
	}
	return n, nil
}

// hasPassword waits until the node of this session has what the others have, and refuses one that does not store the
// password for the account.
func (a *Admin) hasPassword(ctx context.Context, n node, account Name, pw string) error {
	if err := n.check(); err != nil {
		return err
	}
	if err := a.readBehindOthers(ctx); err != nil {
		return err
	}
	states, err := a.readAccounts(ctx, []string{account.User})
	if err != nil {
		return fmt.Errorf("read %s on %s: %w", account, n, a.deniedRead(ctx, err))
	}
	for _, s := range states {
		if s.name != account {
			continue
		}
		if same, err := s.stored().Matches(pw); err != nil || same && !s.locked {
			return err
		}
	}
	return refuse(NodeDiffers, "%s does not store the new password of %s, or has it locked, though it has all that the others have:"+
		" the account was changed on one node only, or by another rotation; rotate again, which sets its password on all of them", n, account)
}

// AwaitNodes waits until every node that the address of this session leads to has the password of an account, and names the
// nodes that could not be asked. It does nothing where the server is not a node of a Galera cluster. It refuses a node that
// stays behind, or is cut off and still answers.
func (a *Admin) AwaitNodes(ctx context.Context, account Name, pw string) (unasked []string, err error) {
	if !a.server.galera() {
		return nil, nil
	}
	first, err := a.askNode(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.hasPassword(ctx, first, account, pw); err != nil {
		return nil, err
	}
	asked := map[string]bool{first.id: true}
	if err := a.askThrough(ctx, asked, first.size, account, pw); err != nil {
		return nil, err
	}
	if len(asked) >= first.size {
		return nil, nil
	}
	members := a.members(ctx)
	for _, id := range slices.Sorted(maps.Keys(members)) {
		m := members[id]
		if asked[id] {
			continue
		}
		why, err := a.askAt(ctx, asked, m, account, pw)
		if err != nil {
			return nil, err
		}
		if !asked[id] {
			unasked = append(unasked, fmt.Sprintf("node %s of the cluster was not asked whether it has the new password of %s: %s does not lead to it, and %s", m.name, account, first.at, why))
		}
	}
	if missing := first.size - len(asked) - len(unasked); missing > 0 {
		unasked = append(unasked, fmt.Sprintf("%d of %d nodes of the cluster were not asked whether they have the new password of %s: %s does not lead to them", missing, first.size, account, first.at))
	}
	return unasked, nil
}

// Which node a new connection goes to, the address decides. After a few that lead to no other node than those of the cluster it
// is taken to lead to no other, and after many that do not lead to all of them, to some only.
const (
	fewConnections  = 2 // times the nodes
	manyConnections = 8
)

// askThrough asks the nodes that new connections to the session's own address lead to, and adds them to those asked.
func (a *Admin) askThrough(ctx context.Context, asked map[string]bool, size int, account Name, pw string) error {
	db, err := a.dialer.servers.Open(a.pool.login)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxIdleConns(-1) // each connection is a new one
	for i := range manyConnections * size {
		if i >= fewConnections*size && len(asked) >= size {
			break
		}
		if err := a.askOn(ctx, db, a.pool.at, asked, account, pw); err != nil {
			return err
		}
	}
	return nil
}

// askOn asks the node that a new connection leads to, unless it was asked before. That there is no connection is no error: who
// meets a node that is down is refused whatever the password.
func (a *Admin) askOn(ctx context.Context, db *sql.DB, at Endpoint, asked map[string]bool, account Name, pw string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return context.Cause(ctx)
	}
	defer conn.Close()
	other := &Admin{conn: conn, pool: &pool{db: db, at: at, login: a.pool.login}, dialer: a.dialer, name: a.name, roles: a.roles, server: a.server}
	n, err := other.askNode(ctx)
	if err != nil || asked[n.id] {
		return err
	}
	if err := other.hasPassword(ctx, n, account, pw); err != nil {
		return err
	}
	asked[n.id] = true
	return nil
}

// listedNode is what the cluster says of a node.
type listedNode struct{ name, address string }

// members are all nodes by id, as far as the server has a list and the administrator may read it.
func (a *Admin) members(ctx context.Context) map[string]listedNode {
	members := map[string]listedNode{}
	if !a.server.hasTable("wsrep_cluster_members") {
		return members
	}
	rows, err := a.query(ctx, "SELECT node_uuid AS id, node_name AS name, node_incoming_address AS address FROM mysql.wsrep_cluster_members")
	if err != nil {
		return members
	}
	for _, r := range rows {
		members[r.text("id")] = listedNode{r.text("name"), r.text("address")}
	}
	return members
}

// reachTimeout bounds the attempt to reach a node at the address that it names, which may be one that only nodes reach.
const reachTimeout = 3 * time.Second

// askAt asks a node at its own address, and says why it could not.
func (a *Admin) askAt(ctx context.Context, asked map[string]bool, m listedNode, account Name, pw string) (why string, err error) {
	at := a.pool.at
	host, port, err := net.SplitHostPort(m.address)
	if err != nil {
		host, port = m.address, strconv.Itoa(at.Port)
	}
	if host == "" || host == "AUTO" {
		return "it names no address of its own (wsrep_node_incoming_address)", nil
	}
	at.Host = host
	if at.Port, err = strconv.Atoi(port); err != nil {
		return "its address is " + m.address, nil
	}
	login := a.pool.login.Clone()
	login.Addr = at.String()
	if login.TLS != nil {
		login.TLS.ServerName = at.Host
	}
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
	return "its address leads to another one", a.askOn(ctx, db, at, asked, account, pw)
}
