package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// A statement on one node of a cluster reaches the others a little later, or, if a backup holds a
// node, when the backup ends. Logins do not wait for that: one node may refuse a password that
// another already has.

// InCluster reports whether the server is a node of a cluster, where a change reaches the nodes one
// by one.
func (a *Admin) InCluster() bool { return a.server.Clustered() }

// readBehindOthers makes the session's reads wait until this node has everything that the others
// had when the read began.
func (a *Admin) readBehindOthers(ctx context.Context) error {
	var how string
	switch {
	case a.server.Galera():
		how = "SET SESSION wsrep_sync_wait = @@SESSION.wsrep_sync_wait | 1"
	case a.server.Grouped():
		how = "SET SESSION group_replication_consistency = 'BEFORE'"
	default:
		return nil
	}
	if err := a.exec(ctx, how); err != nil {
		return fmt.Errorf("make reads wait for the other nodes: %w", err)
	}
	return nil
}

// enterCluster prepares a session for the writer of a cluster. In a group, no account statement may
// wait for the other members, whatever the server's own setting. While it waited, no one could log
// in on the primary, and two such statements on two primaries would wait for each other
// indefinitely. Reads on a Galera node wait for what the other nodes have.
func (a *Admin) enterCluster(ctx context.Context) error {
	if !a.server.Grouped() {
		return a.readBehindOthers(ctx)
	}
	if err := a.exec(ctx, "SET SESSION group_replication_consistency = 'EVENTUAL'"); err != nil {
		return fmt.Errorf("keep account statements from waiting for the other members of the group: %w", err)
	}
	return nil
}

// ofNode replaces an error that results from the state of a node by one that explains it.
func (a *Admin) ofNode(ctx context.Context, err error) error {
	e := serverError(err)
	switch {
	case e == nil:
		return err
	case a.server.Galera() && (e.Number == errUnknownCommand || e.Number == errLockWait):
	case a.server.Grouped() && e.Number == errWaitForGroup:
	default:
		return err
	}
	n, asked := a.askNode(ctx)
	if asked != nil {
		return err
	}
	if refused := n.check(); refused != nil {
		return refused
	}
	return grants.Refuse(grants.NodeBehind, "%s is behind the others, or held by a backup (%s): wait until the backup ends, or end it", n,
		e.Message)
}

// node is the state that a node of a cluster reports. A member of a group has no status.
type node struct {
	id, name, at         string
	size                 int // number of nodes in the cluster, including this one; 0 if unknown
	ready, status, state string
	grouped              bool
	reached              int // number of members of the group that it reaches, including itself
}

func (n node) String() string {
	if n.grouped {
		return "member " + n.name + " of the group at " + n.at
	}
	return "node " + n.name + " of the cluster at " + n.at
}

// check refuses a node that has lost the others and still answers from what it knew before.
func (n node) check() error {
	if n.grouped {
		return n.checkMember()
	}
	return n.checkGalera()
}

// askNode reads the state of the session's node, which a node reports in every state. The id is
// empty if the server is not in a cluster.
func (a *Admin) askNode(ctx context.Context) (node, error) {
	if a.server.Grouped() {
		return a.askMember(ctx)
	}
	n, err := askState(ctx, a.conn, a.pool.at)
	return n, cause(ctx, err)
}

// listedNode is a node as the cluster lists it.
type listedNode struct{ name, address string }

// nodes returns all nodes by id, as far as the server lists them and the administrator may read the
// list.
func (a *Admin) nodes(ctx context.Context) map[string]listedNode {
	listed := map[string]listedNode{}
	rows, err := a.query(ctx, a.server.NodesQuery())
	if err != nil {
		return listed
	}
	for _, r := range rows {
		listed[r.Text("id")] = listedNode{r.Text("name"), r.Text("address")}
	}
	return listed
}
