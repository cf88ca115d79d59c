package grants

import (
	"errors"
	"strings"
	"testing"
)

// TestCheckSupported checks that servers that store accounts differently are refused with a helpful
// message.
func TestCheckSupported(t *testing.T) {
	for _, version := range []string{"5.7.44-log", "5.7.12", "8.0.36", "8.4.3", "9.7.4", "26.7", "8.0.35-27", "10.4.34-MariaDB",
		"10.5.29-MariaDB", "11.8.9-MariaDB"} {
		if err := server(version).CheckSupported(); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	old := server("5.6.51")
	delete(old.Columns["user"], "account_locked")
	unreadable := server("8.0.36")
	unreadable.Columns = map[string]map[string]Column{} // the administrator cannot read the schema, which another check refuses
	if err := unreadable.CheckSupported(); err != nil {
		t.Errorf("without tables: %v", err)
	}
	for _, tt := range []struct {
		server *Server
		says   string
	}{
		{old, "has no column account_locked"},
		{server("8.0.11-TiDB-v7.5.1"), "the server is TiDB"},
		{server("8.0.30-Vitess"), "the server is Vitess"},
		{server("10.3.39-MariaDB"), "mysql.global_priv"},
	} {
		err := tt.server.CheckSupported()
		r, ok := errors.AsType[*Refusal](err)
		if !ok || r.Reason != Unsupported || !strings.Contains(r.Message, tt.says) ||
			!strings.Contains(r.Message, "supports MySQL from 5.7 and MariaDB from 10.4") {
			t.Errorf("%s: got %v", tt.server.Flavor, err)
		}
	}
}

// TestNamesOnServersThatLowerThem checks that the wanted rights of a new account have the names
// that the server will return.
func TestNamesOnServersThatLowerThem(t *testing.T) {
	texts := []string{"SELECT ON Shop.*", "SELECT (Id) ON Shop.Orders", "EXECUTE ON PROCEDURE Shop.Close"}
	for value, want := range map[string]map[right]bool{
		"0": {{database, "SELECT", "Shop", "", ""}: true, {columnOf, "SELECT", "Shop", "Orders", "Id"}: true,
			{routine, "EXECUTE", "Shop", "Close", "PROCEDURE"}: true},
		"1": {{database, "SELECT", "shop", "", ""}: true, {columnOf, "SELECT", "shop", "orders", "Id"}: true,
			{routine, "EXECUTE", "shop", "close", "PROCEDURE"}: true},
		"2": {{database, "SELECT", "shop", "", ""}: true, {columnOf, "SELECT", "shop", "orders", "Id"}: true,
			{routine, "EXECUTE", "shop", "close", "PROCEDURE"}: true},
	} {
		s := server("8.0.36")
		s.Variables["lower_case_table_names"] = value
		account, err := s.NewAccount(Name{"app", "%"}, texts)
		if err != nil {
			t.Fatal(err)
		}
		for r := range account.rights {
			if !want[r] {
				t.Errorf("lower_case_table_names = %s: unexpected %s", value, r)
			}
		}
		if len(account.rights) != len(want) {
			t.Errorf("lower_case_table_names = %s: %d rights, want %d", value, len(account.rights), len(want))
		}
	}
}

// TestRightsOfAurora2 checks that rights that only Aurora MySQL 2 has are copied like the others.
func TestRightsOfAurora2(t *testing.T) {
	a := NewAccount(Name{"app", "%"})
	yes := Value{"Y", true}
	if err := readMySQL(a, Row{"load_from_s3_priv": yes, "select_into_s3_priv": yes, "invoke_lambda_priv": yes, "invoke_sagemaker_priv": yes,
		"invoke_comprehend_priv": yes}); err != nil {
		t.Fatal(err)
	}
	if len(a.unknown) > 0 {
		t.Errorf("unknown: %q", a.unknown)
	}
	for _, p := range []string{"LOAD FROM S3", "SELECT INTO S3", "INVOKE LAMBDA", "INVOKE SAGEMAKER", "INVOKE COMPREHEND"} {
		if _, ok := a.rights[right{kind: global, privilege: p}]; !ok {
			t.Errorf("%s is missing", p)
		}
	}
}

// TestClustersThatProhibitLocks checks what Percona XtraDB Cluster answers to GET_LOCK in each of its modes.
func TestClustersThatProhibitLocks(t *testing.T) {
	const prohibited = "Percona-XtraDB-Cluster prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING"
	for _, tt := range []struct {
		mode    string // empty on other servers
		number  uint16
		refused bool
	}{
		{"ENFORCING", 1105, true},
		{"enforcing", 1105, true},
		{"PERMISSIVE", 1105, true},
		{"MASTER", 1105, false},
		{"DISABLED", 1105, false},
		{"", 1105, false},
		{"ENFORCING", 1205, false},
	} {
		s := server("8.0.36-28.1")
		if tt.mode != "" {
			s.Variables["pxc_strict_mode"] = tt.mode
		}
		err := s.RefuseLock(tt.number, prohibited)
		r, refused := errors.AsType[*Refusal](err)
		if refused != tt.refused || refused && (r.Reason != Unsupported || r.Retry || !strings.Contains(r.Message, prohibited) ||
			!strings.Contains(r.Message, "SET GLOBAL pxc_strict_mode = MASTER")) {
			t.Errorf("mode %q, error %d: %v", tt.mode, tt.number, err)
		}
	}
	if got := ParseVariables([]Row{{"variable_name": {"pxc_strict_mode", true}, "value": {"ENFORCING", true}}}); got["pxc_strict_mode"] == "" ||
		!strings.Contains(VariablesQuery(), "'pxc_strict_mode'") {
		t.Error("the mode is not read")
	}
}
