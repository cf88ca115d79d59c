package grants

import (
	"strings"
	"testing"
)

// administrator returns the powers of an administrator that has the given rights and can grant
// them.
func administrator(s *Server, rights ...right) (*Powers, *Account) {
	a := NewAccount(Name{"admin", "%"})
	for _, r := range rights {
		a.rights[r] = true
	}
	p := NewPowers(s)
	p.Add(a)
	return p, a
}

// TestPatternsWithPartialRevokes checks that the database name in an administrator's grant is a
// pattern only if the server treats it as one.
func TestPatternsWithPartialRevokes(t *testing.T) {
	for _, tt := range []struct {
		partial, held string
		where         right
		want          bool
	}{
		{"OFF", "shop%", right{kind: table, schema: "shop_1", object: "t"}, true},
		{"OFF", "shop_1", right{kind: database, schema: `shop\_1`}, true},
		{"ON", "shop%", right{kind: table, schema: "shop_1", object: "t"}, false},
		{"ON", "shop_1", right{kind: table, schema: "shopx1", object: "t"}, false},
		{"ON", "shop_1", right{kind: table, schema: "shop_1", object: "t"}, true},
		{"ON", "shop%", right{kind: database, schema: "shop%"}, true},
	} {
		s := server("8.0.36")
		s.Variables["partial_revokes"] = tt.partial
		p, _ := administrator(s, right{kind: database, privilege: "SELECT", schema: tt.held})
		if got := p.holds("SELECT", tt.where); got != tt.want {
			t.Errorf("partial_revokes %s: SELECT on %s covers %s: %t", tt.partial, tt.held, tt.where.on(), got)
		}
	}
}

// TestDynamicRightsOnRDS checks that a master user that can write the grant tables is not treated
// as one that can grant every dynamic right, and that the refusal says what to do.
func TestDynamicRightsOnRDS(t *testing.T) {
	update := right{kind: global, privilege: "UPDATE"}
	backup := right{kind: dynamic, privilege: "BACKUP_ADMIN"}
	source := account("app", "%")
	steps := []Step{{needs: []right{backup}}}
	elsewhere := server("8.0.35")
	p, _ := administrator(elsewhere, update)
	if lacking := p.lacking(source, steps, nil); lacking != nil {
		t.Errorf("elsewhere: %q", lacking)
	}
	rds := server("8.0.35")
	rds.Columns["rds_configuration"] = map[string]Column{}
	p, _ = administrator(rds, update)
	if lacking := p.lacking(source, steps, nil); len(lacking) != 1 ||
		!strings.Contains(lacking[0], "REVOKE BACKUP_ADMIN ON *.* FROM 'app'@'%'") {
		t.Errorf("on RDS: %q", lacking)
	}
}

// TestRolesThatAreNotActive checks that a refusal names the roles that would help if they were
// active.
func TestRolesThatAreNotActive(t *testing.T) {
	p, admin := administrator(server("8.0.36"))
	admin.rights[right{kind: role, schema: "dba", object: "%"}] = false
	ps := &Snapshot{Source: account("app", "%")}
	err := p.Check(admin.Name, ps, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "SET DEFAULT ROLE 'dba'@'%' TO 'admin'@'%'") {
		t.Errorf("got %v", err)
	}
	dba := account("dba", "%")
	p.Add(dba)
	if err := p.Check(admin.Name, ps, nil, nil); err == nil || strings.Contains(err.Error(), "SET DEFAULT ROLE") {
		t.Errorf("with the role active: %v", err)
	}
}

// TestARefusalNamesAllThatIsGoneAndAllThatIsLacking checks a plan on a server on which many things
// are missing.
func TestARefusalNamesAllThatIsGoneAndAllThatIsLacking(t *testing.T) {
	s := server("10.11.19-MariaDB")
	source := account("app", "%")
	source.Plugin = "mysql_native_password"
	for _, r := range []right{
		{columnOf, "SELECT", "shop", "t", "a"}, {columnOf, "SELECT", "shop", "t", "b"}, {routine, "EXECUTE", "shop", "close", "PROCEDURE"},
		{defaultRole, "", "gone", "", ""}, {global, "PROCESS", "", "", ""},
	} {
		source.rights[r] = false
	}
	ps := &Snapshot{Source: source, Others: []*Account{source}, SourceInMemory: &InMemory{}}
	d, err := NewDraft(Facts{Snapshot: ps, Server: s, Pair: Pair{Source: source.Name, Standby: "app_clone", Mark: "m"},
		Administrator: Name{"admin", "%"}})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := administrator(s)
	if err := d.ChooseReference(d.Plan.Policy, p); err != nil {
		t.Fatal(err)
	}
	if err := d.Compare(nil, nil); err != nil {
		t.Fatal(err)
	}
	text := func(s string) Value { return Value{s, true} }
	for _, l := range d.Lookups() {
		var rows []Row
		if l.View == "information_schema.COLUMNS" {
			rows = []Row{{"a": text("shop"), "b": text("t"), "c": text("B")}}
		}
		d.Look(l, rows)
	}
	err = d.CheckGrantable(Name{"admin", "%"}, nil, []string{"PROCESS on *.*, to see sessions"})
	if err == nil {
		t.Fatal("want a refusal")
	}
	for _, says := range []string{
		"3 things are in the way", "default role `gone`, which no longer exists",
		"CREATE USER on *.*; PROCESS on *.* with grant option; SELECT (`b`) on `shop`.`t` with grant option",
		"to see sessions", "SELECT (`a`) on `shop`.`t`; EXECUTE on PROCEDURE `shop`.`close`, " +
			"which no longer exist or which the administrator cannot see: REVOKE these rights",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if strings.Contains(err.Error(), "role `gone` with admin option") {
		t.Errorf("%q asks for a role that no longer exists", err)
	}
}

// TestRevokingByARestrictedAdministrator checks which revocations the server will refuse with error 3879, as MySQL 9.7 was seen to do.
func TestRevokingByARestrictedAdministrator(t *testing.T) {
	static := func(privilege string) right { return right{kind: global, privilege: privilege} }
	not := func(privilege, schema string) right {
		return right{kind: restriction, privilege: privilege, schema: schema}
	}
	variables := right{kind: dynamic, privilege: "SESSION_VARIABLES_ADMIN"}
	for _, tt := range []struct {
		name    string
		source  []right
		standby []right
		refused string // the statements named in the refusal; empty for none
	}{
		{"a right that is not restricted", nil, []right{static("SELECT")}, ""},
		{"a right without the restriction", nil, []right{static("INSERT")}, "REVOKE INSERT ON *.* FROM 'app_clone'@'%'"},
		{"a right with the restriction", nil, []right{static("INSERT"), not("INSERT", "mysql")}, ""},
		{"a right with the restriction of another", nil, []right{static("INSERT"), static("UPDATE"), not("UPDATE", "mysql")},
			"REVOKE INSERT, UPDATE ON *.* FROM 'app_clone'@'%'"},
		{"a right with that of another database", nil, []right{static("INSERT"), not("INSERT", "shop")},
			"REVOKE INSERT ON *.* FROM 'app_clone'@'%'"},
		{"a dynamic right", nil, []right{variables}, "REVOKE SESSION_VARIABLES_ADMIN ON *.* FROM 'app_clone'@'%'"},
		{"a dynamic right of an account with a restriction", nil, []right{variables, static("DELETE"), not("DELETE", "shop")}, ""},
		{"a dynamic right, and a static one that comes with the restriction before it", []right{static("INSERT"), not("INSERT", "mysql")},
			[]right{variables}, ""},
		{"a grant option", []right{static("INSERT")}, []right{static("INSERT"), globalGrantOption}, ""},
		{"nothing to revoke", []right{static("INSERT"), variables}, []right{static("INSERT"), variables}, ""},
		{"a right on a database", nil, []right{{kind: database, privilege: "INSERT", schema: "shop"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, admin := administrator(server("9.7.4"), static("SELECT"), static("INSERT"), static("UPDATE"), static("DELETE"), globalGrantOption)
			admin.rights[not("INSERT", "mysql")] = false
			source, standby := account("app", "%"), account("app_clone", "%")
			for a, rights := range map[*Account][]right{source: tt.source, standby: tt.standby} {
				for _, r := range rights {
					a.rights[r] = false
				}
			}
			r := refuseRestricted(admin.Name, Difference(source, standby, nil, p))
			switch {
			case (r != nil) != (tt.refused != ""):
				t.Errorf("got %v: want it to name %q", r, tt.refused)
			case r != nil && (!strings.Contains(r.Message, "(INSERT on `mysql`.*)") || !strings.HasSuffix(r.Message, "and run "+tt.refused)):
				t.Errorf("%q does not name the restriction, or not the statement %q alone", r.Message, tt.refused)
			}
			unrestricted, _ := administrator(server("9.7.4"), static("INSERT"), globalGrantOption)
			if r := refuseRestricted(admin.Name, Difference(source, standby, nil, unrestricted)); r != nil {
				t.Errorf("without a restriction: %v", r)
			}
		})
	}
}
