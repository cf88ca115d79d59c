package account

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// metadata is what a session passes on to later sessions of its pool. Reading it costs a server
// more than everything else that a rotation reads.
type metadata struct {
	server  grants.Server
	name    grants.Name
	roles   []grants.Name
	learned time.Time
	read    time.Time // when its variables were last read
}

// knownFor limits how long a new grant table, or a new setting of a plugin, may go unnoticed.
const knownFor = time.Minute

// justRead limits how long a change of a setting such as read_only may go unnoticed by the next
// step of a rotation. The server itself enforces such settings.
const justRead = time.Second

// remember reuses what an earlier session has learned, and reads what may have changed since. It
// returns false if nothing is known, or if this is a different server.
func (a *Admin) remember(ctx context.Context) (bool, error) {
	k := a.pool.metadata.Load()
	if k == nil || time.Since(k.learned) > knownFor {
		return false, nil
	}
	if !a.fresh && time.Since(k.read) < justRead { // the same connection, so the same server
		a.server, a.name, a.roles = k.server, k.name, k.roles
		return true, nil
	}
	var columns []string
	// Sorted, because a server keeps statistics for each different statement text.
	for _, name := range slices.Sorted(maps.Keys(k.server.Variables)) {
		if !k.server.OfPlugin(name) {
			columns = append(columns, "@@global."+name+" AS "+name)
		}
	}
	rows, err := a.query(ctx, "SELECT "+strings.Join(columns, ", "))
	if err != nil || len(rows) != 1 {
		return false, err
	}
	now := maps.Clone(k.server.Variables)
	for name, value := range rows[0] {
		now[name] = value.String
	}
	if now["hostname"] != k.server.Variables["hostname"] || now["version"] != k.server.Variables["version"] {
		return false, nil
	}
	a.server, a.name, a.roles = k.server, k.name, k.roles
	a.server.Variables = now
	a.pool.metadata.Store(&metadata{a.server, a.name, a.roles, k.learned, time.Now()})
	return true, nil
}

func (a *Admin) enterServer(ctx context.Context) error {
	if err := a.recognise(ctx); err != nil {
		return err
	}
	if err := a.toWriter(ctx); err != nil {
		return err
	}
	return a.enterCluster(ctx)
}

func (a *Admin) recognise(ctx context.Context) error {
	if known, err := a.remember(ctx); known || err != nil {
		return err
	}
	rows, err := a.query(ctx, grants.VariablesQuery())
	if err != nil {
		return err
	}
	a.server = grants.NewServer(grants.ParseVariables(rows))
	return nil
}

// survey learns which grant tables there are, who the administrator is, which of its roles are
// active, and which plugins check new passwords.
func (a *Admin) survey(ctx context.Context) error {
	if a.server.Columns != nil {
		return nil
	}
	query := grants.ColumnsQuery + " UNION ALL SELECT '', 'user', 0, CURRENT_USER()"
	if a.server.HasRoles() {
		query += " UNION ALL SELECT '', 'role', 0, CURRENT_ROLE()"
	}
	if a.server.ValidatesInClearOnly() {
		query += " UNION ALL SELECT '', 'validator', 0, PLUGIN_NAME FROM information_schema.PLUGINS" +
			" WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'"
	}
	rows, err := a.query(ctx, query)
	if err != nil {
		return fmt.Errorf("read the grant tables' columns: %w", err)
	}
	columns := slices.DeleteFunc(rows, func(r grants.Row) bool {
		if r.Text("t") != "" {
			return false
		}
		switch r.Text("c") {
		case "user":
			a.name = grants.ParseName(r.Text("d"))
		case "role":
			a.roles = grants.ParseNames(r.Text("d"))
		case "validator":
			a.server.Validators = append(a.server.Validators, r.Text("d"))
		}
		return true
	})
	a.server.ParseColumns(columns)
	if err := a.server.CheckSupported(); err != nil {
		return err
	}
	if table := a.server.AccountsTable(); !a.server.HasTable(table) || !a.server.HasTable("db") {
		a.unusable = true
		return a.cannotRead(ctx)
	}
	now := time.Now()
	a.pool.metadata.Store(&metadata{a.server, a.name, a.roles, now, now})
	return nil
}
