package account

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// askState reads the state of a server with statements that every user may run. The id is empty if
// the server is not a node.
func askState(ctx context.Context, conn *sql.Conn, at Endpoint) (node, error) {
	n := node{name: "(unknown)", at: at.String()}
	rows, err := conn.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN"+
		" ('wsrep_gcomm_uuid', 'wsrep_cluster_size', 'wsrep_cluster_status', 'wsrep_ready', 'wsrep_local_state_comment')")
	if err != nil {
		return n, fmt.Errorf("read the state of the server: %w", err)
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
	var variable string // SHOW, because a SELECT would wait for the other nodes
	if err := conn.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_node_name'").Scan(&variable, &n.name); err != nil {
		return n, fmt.Errorf("read the name of the node: %w", err)
	}
	return n, nil
}

// checkGalera refuses a node that has lost the others and still answers from what it knew before.
func (n node) checkGalera() error {
	switch {
	case n.status != "Primary":
		return grants.Refuse(grants.NoQuorum, "%s has no quorum (wsrep_cluster_status is %s): "+
			"it answers logins from what it knew before it lost the other nodes;"+
			" reconnect it, or remove it from that address", n, n.status)
	case n.ready != "ON":
		return grants.Refuse(grants.NoQuorum, "%s is not ready (%s): wait until it has joined the other nodes, or remove it from that address",
			n, n.state)
	}
	return nil
}
