package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// A statement on one node of a cluster takes effect on the others a little later, and on one that is held by a backup when that
// ends. No login waits for it: a node may refuse a password that another has.

// InCluster reports whether the session's server is a node of a cluster, whose nodes learn of a change one by one.
func (a *Admin) InCluster() bool { return a.server.Clustered() }

// readBehindOthers makes the session's reads on a node wait until it has what the others had when the read began.
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

// enterCluster prepares a session for the writer of a cluster. In a group no statement for an account may wait for the other members,
// whatever the server's own setting: until it ended, no one could log in on the primary, and two such statements on two
// primaries would wait for each other for good. What is read on a Galera node is what the others have.
func (a *Admin) enterCluster(ctx context.Context) error {
	if !a.server.Grouped() {
		return a.readBehindOthers(ctx)
	}
	if err := a.exec(ctx, "SET SESSION group_replication_consistency = 'EVENTUAL'"); err != nil {
		return fmt.Errorf("make account statements not wait for the members of the group: %w", err)
	}
	return nil
}

// ofNode says more of an error that comes of the state of a node.
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
	return grants.Refuse(grants.NodeBehind, "%s is behind the others, or held by a backup (%s): wait until the backup ends, or end it", n, e.Message)
}

// node is what a node of a cluster says of itself. A member of a group has no status.
type node struct {
	id, name, at         string
	size                 int // how many nodes the cluster has, itself included; 0 if it does not tell
	ready, status, state string
	grouped              bool
	reached              int // how many members of the group it reaches, itself included
}

func (n node) String() string {
	if n.grouped {
		return "member " + n.name + " of the group at " + n.at
	}
	return "node " + n.name + " of the cluster at " + n.at
}

// check refuses a node that answers from what it knew when it lost the others.
func (n node) check() error {
	if n.grouped {
		return n.checkMember()
	}
	return n.checkGalera()
}

// askNode asks what a node answers in every state. The id is empty if the server is not in a cluster.
func (a *Admin) askNode(ctx context.Context) (node, error) {
	if a.server.Grouped() {
		return a.askMember(ctx)
	}
	n, err := askState(ctx, a.conn, a.pool.at)
	return n, cause(ctx, err)
}

// listedNode is what the cluster says of a node.
type listedNode struct{ name, address string }

// nodes are all nodes by id, as far as the server has a list and the administrator may read it.
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
