package account

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// patienceForGroup bounds how long a read waits for what the group has done before. It bounds how long the session may be idle, too,
// and so is not for one that holds a lock.
const patienceForGroup = "SET SESSION wait_timeout = 30"

// askMember asks a member of a group for its state. An administrator that may not read the list of members learns the id only.
func (a *Admin) askMember(ctx context.Context) (node, error) {
	n := node{name: "(unknown)", at: a.pool.at.String(), grouped: true}
	worn := a.unusable
	rows, err := a.query(ctx, "SELECT @@server_uuid AS me, MEMBER_ID AS id, MEMBER_HOST AS host, MEMBER_PORT AS port, MEMBER_STATE AS state"+
		" FROM performance_schema.replication_group_members")
	if e := serverError(err); e != nil && e.Number == errTableDenied {
		a.unusable = worn // it has all the rights that it needs
		if rows, err = a.query(ctx, "SELECT @@server_uuid AS me"); err == nil && len(rows) == 1 {
			n.id = rows[0].Text("me")
		}
		return n, err
	}
	if err != nil {
		return n, fmt.Errorf("ask for the members of the group: %w", err)
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

// checkMember refuses a member that answers from what it knew when it lost the others, or before it has joined them.
func (n node) checkMember() error {
	switch {
	case n.id == "":
		return grants.Refuse(grants.NoQuorum, "a server at %s is not in the group that the others are in: let it join them, or take it off that address", n.at)
	case n.size == 0: // it does not tell
		return nil
	case 2*n.reached <= n.size:
		return grants.Refuse(grants.NoQuorum, "%s has no quorum (it reaches %d of %d members): it answers logins with what it knew before it lost the others;"+
			" connect it to them, or take it off that address", n, n.reached, n.size)
	case n.state != "ONLINE":
		return grants.Refuse(grants.NoQuorum, "%s is not online (%s): wait until it has joined the others, let it join them (START GROUP_REPLICATION),"+
			" or take it off that address", n, strings.ToLower(n.state))
	}
	return nil
}
