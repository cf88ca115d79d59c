package account

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// checkReplication refuses a server that replicates from another one, unless forced. A change to an
// account there would reach only that server, and the next statement for the account from the other
// server would stop the replication. A primary whose binary log omits account statements gets a
// warning.
func (a *Admin) checkReplication(ctx context.Context, p grants.Pair, plan *grants.Plan) error {
	status := a.server.ReplicaStatus()
	rows, err := a.askReplication(ctx, plan, status.Statement, "whether the server replicates from another one", status.Right)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if strings.HasPrefix(r.Text(status.Channel), "group_replication_") { // the other members of its own group
			continue
		}
		from := net.JoinHostPort(r.Text(status.Host), r.Text(status.Port))
		if running := r.Text(status.Threads+"_io_running") != "No" || r.Text(status.Threads+"_sql_running") != "No"; !running || p.Force {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("the server %s is or was a replica of %s (SHOW REPLICA STATUS): "+
				"changes made here do not reach that server",
				a.server.Variables["hostname"], from))
			continue
		}
		return grants.Refuse(grants.Replica, "the server %s replicates from %s: "+
			"a change to an account here does not reach that server, and replication stops when the account changes there;"+
			" set the host of the secret and of its master secret to %s, or rotate with Force if the two servers are meant to differ",
			a.server.Variables["hostname"], from, from)
	}
	if !a.server.FiltersAccountsFromBinlog() {
		return nil
	}
	rows, err = a.askReplication(ctx, plan, "SHOW MASTER STATUS", "whether the binary log has account statements",
		a.server.BinlogStatusRight())
	if err != nil {
		return err
	}
	for _, r := range rows {
		if only := r.Text("binlog_do_db"); only != "" {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("the server %s does not write account statements to its binary log (binlog_do_db "+
				"is %s), so its replicas have neither the accounts nor their passwords:"+
				" clients that connect to a replica are refused", a.server.Variables["hostname"], only))
		}
	}
	return nil
}

// writer returns the end of a refusal that names the server which accepts writes, as far as this
// server knows it.
func (a *Admin) writer(ctx context.Context) string {
	status := a.server.ReplicaStatus()
	statement, host, port := status.Statement, status.Host, status.Port
	if a.server.Variables[grants.GroupName] != "" {
		statement, host, port = "SELECT MEMBER_HOST AS h, MEMBER_PORT AS p FROM performance_schema.replication_group_members"+
			" WHERE MEMBER_ROLE = 'PRIMARY'", "h", "p"
	}
	rows, err := a.query(ctx, statement)
	if err != nil { // the refusal matters more
		return ""
	}
	for _, r := range rows {
		if r.Text(host) != "" {
			return ", which is " + net.JoinHostPort(r.Text(host), r.Text(port)) + " to this server"
		}
	}
	return ""
}

// askReplication runs a statement, or adds a warning if the administrator may not run it.
func (a *Admin) askReplication(ctx context.Context, plan *grants.Plan, statement, what, right string) ([]grants.Row, error) {
	worn := a.unusable
	rows, err := a.query(ctx, statement)
	e := serverError(err)
	if e != nil && (e.Number == errPrivilegeNeeded || e.Number == errAccessDeniedToDB) {
		a.unusable = worn // this right is optional
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s is unknown: GRANT %s ON *.* TO %s", what, right, a.name))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", what, err)
	}
	return rows, nil
}
