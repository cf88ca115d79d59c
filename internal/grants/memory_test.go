package grants

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSpellingsOfShowGrants checks that SHOW GRANTS is read the same way from servers that quote
// names with single quotes and from servers that use backticks.
func TestSpellingsOfShowGrants(t *testing.T) {
	n := Name{"app", "10.%"}
	backticks := []string{
		"GRANT PROCESS ON *.* TO `app`@`10.%`", "GRANT SELECT, INSERT ON `shop`.* TO `app`@`10.%` WITH GRANT OPTION",
		"GRANT UPDATE (`a`) ON `shop`.`t` TO `app`@`10.%`", "GRANT PROXY ON `o`@`%` TO `app`@`10.%` WITH GRANT OPTION",
		"GRANT SELECT ON `x TO 'app'@'10.%'`.* TO `app`@`10.%`",
	}
	var single, proxyOnly []string
	for _, line := range backticks {
		quoted := strings.Replace(line, " TO `app`@`10.%`", " TO 'app'@'10.%'", 1)
		single = append(single, strings.Replace(quoted, "ON `o`@`%`", "ON 'o'@'%'", 1))
		if strings.Contains(line, "PROXY") {
			proxyOnly = append(proxyOnly, strings.Replace(quoted, "ON `o`@`%`", "ON 'o'@'%'", 1))
		} else {
			proxyOnly = append(proxyOnly, line)
		}
	}
	account := NewAccount(n)
	for _, r := range []right{
		{global, "PROCESS", "", "", ""}, {database, "SELECT", "shop", "", ""}, {database, "INSERT", "shop", "", ""},
		{database, grantOption, "shop", "", ""},
		{columnOf, "UPDATE", "shop", "t", "a"}, {database, "SELECT", "x TO 'app'@'10.%'", "", ""},
	} {
		account.rights[r] = false
	}
	account.rights[right{proxy, "PROXY", "o", "%", ""}] = true
	want := server("8.4.3").ParseShown(n, backticks, nil)
	for version, lines := range map[string][]string{"5.7.44": single, "8.0.11": proxyOnly, "10.5.29-MariaDB": proxyOnly,
		"10.11.19-MariaDB": backticks} {
		got := server(version).ParseShown(n, lines, nil)
		if diff := cmp.Diff(want.grants, got.grants); diff != "" {
			t.Errorf("%s (-backticks +quotes):\n%s", version, diff)
		}
		if all := got.disagreements(account, ParseFlavor(version)); len(all) > 0 {
			t.Errorf("%s: SHOW GRANTS and the tables differ in %v", version, all)
		}
	}
}

// server returns a server of the given version, with the tables of its release.
func server(version string) *Server {
	s := NewServer(map[string]string{"version": version})
	s.Columns = map[string]map[string]Column{"db": {"select_priv": {}, "insert_priv": {}, "grant_priv": {}}}
	if s.IsMariaDB() {
		s.Columns["global_priv"] = map[string]Column{"user": {Length: 128}}
		return &s
	}
	s.Columns["user"] = map[string]Column{"user": {Length: 32}}
	for _, column := range requiredColumns {
		s.Columns["user"][column] = Column{}
	}
	if s.AtLeast(MySQL, 8, 0) {
		s.Columns["global_grants"], s.Columns["role_edges"] = map[string]Column{}, map[string]Column{}
		s.Variables["activate_all_roles_on_login"] = "OFF"
	}
	return &s
}
