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
