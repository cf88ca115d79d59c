package account

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// patienceForGroup limits how long a read waits for the earlier changes of the group. It also
// limits how long the session may be idle, so it must not be set on a session that holds a lock.
const patienceForGroup = "SET SESSION wait_timeout = 30"

// askMember reads the state of a group member. An administrator that may not read the list of
// members gets only the id.
func (a *Admin) askMember(ctx context.Context) (node, error) {
	n := node{name: "(unknown)", at: a.pool.at.String(), grouped: true}
	worn := a.unusable
	rows, err := a.query(ctx, "SELECT @@server_uuid AS me, MEMBER_ID AS id, MEMBER_HOST AS host, MEMBER_PORT AS port, MEMBER_STATE AS state"+
		" FROM performance_schema.replication_group_members")
	if e := serverError(err); e != nil && e.Number == errTableDenied {
		a.unusable = worn // this right is optional
		if rows, err = a.query(ctx, "SELECT @@server_uuid AS me"); err == nil && len(rows) == 1 {
			n.id = rows[0].Text("me")
		}
		return n, err
	}
	if err != nil {
		return n, fmt.Errorf("read the members of the group: %w", err)
	}
	for _, r := range rows {
		if r.Text("state") != "UNREACHABLE" {
			n.reached++
		}
		if r.Text("id") == r.Text("me") {
			n.id, n.state, n.size = r.Text("id"), r.Text("state"), len(rows)
			n.name = net.JoinHostPort(r.Text("host"), r.Text("port"))
		}
	}
	return n, nil
}

// checkMember refuses a member that has lost the others, or has not joined them, and still answers
// from what it knows.
func (n node) checkMember() error {
	switch {
	case n.id == "":
		return grants.Refuse(grants.NoQuorum, "a server at %s is not in the same group as the others: "+
			"make it join them, or remove it from that address", n.at)
	case n.size == 0: // unknown
		return nil
	case 2*n.reached <= n.size:
		return grants.Refuse(grants.NoQuorum, "%s has no quorum (it reaches %d of %d members): "+
			"it answers logins from what it knew before it lost the other members;"+
			" reconnect it, or remove it from that address", n, n.reached, n.size)
	case n.state != "ONLINE":
		return grants.Refuse(grants.NoQuorum, "%s is not online (%s): wait until it has joined the other members, "+
			"make it join them (START GROUP_REPLICATION),"+
			" or remove it from that address", n, strings.ToLower(n.state))
	}
	return nil
}
