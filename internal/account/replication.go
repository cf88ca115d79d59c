package account

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// checkReplication refuses a server that replicates from another one, unless it is forced: an account that is changed there is
// changed on that server only, and the next statement for it that comes from the other one stops the replication. A primary
// whose binary log leaves account statements out gets a warning.
func (a *Admin) checkReplication(ctx context.Context, p Pair, plan *Plan) error {
	statement, host, port, channel, threads := a.replicaStatus()
	rows, err := a.askReplication(ctx, plan, statement, "whether the server replicates from another one", "REPLICATION CLIENT", "REPLICA MONITOR")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if strings.HasPrefix(r.text(channel), "group_replication_") { // the other members of its own group
			continue
		}
		from := net.JoinHostPort(r.text(host), r.text(port))
		if running := r.text(threads+"_io_running") != "No" || r.text(threads+"_sql_running") != "No"; !running || p.Force {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("the server %s is a replica of %s, or was one (SHOW REPLICA STATUS): what is changed here does not reach that one",
				a.server.variables["hostname"], from))
			continue
		}
		return refuse(Replica, "the server %s replicates from %s: an account that is changed here is not changed there, and the replication stops when it is;"+
			" let the secret and its master secret name %s, or rotate with Force if the two servers are meant to differ", a.server.variables["hostname"], from, from)
	}
	if !a.server.mariadb { // MySQL's filter goes by the default database, which an administrator's session does not have
		return nil
	}
	rows, err = a.askReplication(ctx, plan, "SHOW MASTER STATUS", "whether the binary log has account statements", "BINLOG MONITOR", "BINLOG MONITOR")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if only := r.text("binlog_do_db"); only != "" {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("the server %s writes no account statement into its binary log (binlog_do_db is %s), so that no replica has the accounts or their passwords:"+
				" clients that read from one are refused", a.server.variables["hostname"], only))
		}
	}
	return nil
}

// replicaStatus is the statement that shows which servers this one replicates from, the columns that name one and the channel
// that leads to it, and how the names of the columns begin that tell whether its threads run.
func (a *Admin) replicaStatus() (statement, host, port, channel, threads string) {
	switch {
	case a.server.mariadb:
		return "SHOW ALL SLAVES STATUS", "master_host", "master_port", "connection_name", "slave"
	case a.server.since(8, 0, 22):
		return "SHOW REPLICA STATUS", "source_host", "source_port", "channel_name", "replica"
	}
	return "SHOW SLAVE STATUS", "master_host", "master_port", "channel_name", "slave"
}

// writer says, for the end of a refusal, which server takes the writes that this one refuses, as far as it tells.
func (a *Admin) writer(ctx context.Context) string {
	statement, host, port, _, _ := a.replicaStatus()
	if a.server.variables[groupName] != "" {
		statement, host, port = "SELECT MEMBER_HOST AS h, MEMBER_PORT AS p FROM performance_schema.replication_group_members WHERE MEMBER_ROLE = 'PRIMARY'", "h", "p"
	}
	rows, err := a.query(ctx, statement)
	if err != nil { // the refusal is what counts
		return ""
	}
	for _, r := range rows {
		if r.text(host) != "" {
			return ", which is " + net.JoinHostPort(r.text(host), r.text(port)) + " to this server"
		}
	}
	return ""
}

// askReplication warns if the administrator may not ask.
func (a *Admin) askReplication(ctx context.Context, plan *Plan, statement, what, mysqlRight, mariadbRight string) ([]row, error) {
	worn := a.worn
	rows, err := a.query(ctx, statement)
	e := serverError(err)
	if e != nil && (e.Number == errPrivilegeNeeded || e.Number == errAccessDeniedToDB) {
		a.worn = worn // it has all the rights that it needs
		right := mysqlRight
		if a.server.mariadb && a.server.since(10, 5, 0) {
			right = mariadbRight
		}
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s is unknown: GRANT %s ON *.* TO %s", what, right, a.name))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", what, err)
	}
	return rows, nil
}
