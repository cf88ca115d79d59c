package grants

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestRightsDigest(t *testing.T) {
	s := &Account{rights: map[right]bool{}}
	for i := range rememberedRights {
		s.rights[right{kind: table, privilege: "SELECT", schema: "shop", object: fmt.Sprint(i)}] = false
	}
	p := Pair{Rights: s.rightsDigest()}
	if len(p.Rights) == 0 || len(p.Rights) > 8_100 {
		t.Errorf("%d bytes for the digest of %d rights", len(p.Rights), len(s.rights))
	}
	last := p.last(&Account{}, &Account{})
	for r := range s.rights {
		if !last(trait{r, false}) || last(trait{r, true}) ||
			last(trait{right{kind: columnOf, privilege: r.privilege, schema: r.schema, object: r.object}, false}) {
			t.Fatalf("%s cannot be told from other rights", r)
		}
	}
	s.rights[right{kind: role, schema: "r"}] = true
	if got := s.rightsDigest(); got != "" {
		t.Errorf("too many rights are kept, as %d bytes", len(got))
	}
	none := Pair{Rights: (&Account{}).rightsDigest()}
	if last := none.last(s, s); last == nil || last(trait{right{kind: role, schema: "r"}, false}) {
		t.Error("the digest of an account without rights is empty")
	}
}

// Later releases read what a workflow keeps of its last rotation. If this test fails, rightsVersion
// has to change.
func TestRightsDigestIsReadByLaterReleases(t *testing.T) {
	s := &Account{rights: map[right]bool{
		{proxy, "", "other", "%", ""}: true, {global, "SELECT", "", "", ""}: false, globalGrantOption: false,
		{database, "SELECT", "sh%", "", ""}:     false,
		{table, "SELECT", "shop", "orders", ""}: false, {columnOf, "SELECT", "shop", "orders", "id"}: false,
		{routine, "EXECUTE", "shop", "close", "PROCEDURE"}: false,
		{dynamic, "BACKUP_ADMIN", "", "", ""}:              true, {restriction, "SELECT", "shop", "", ""}: false, {role, "", "r1", "%", ""}: true,
		{role, "", "r2", "", ""}:         false,
		{defaultRole, "", "r1", "%", ""}: false,
	}}
	const want = "1:B8MTK91eH7iuIhwIP8cKWx0PQRdsUs/NSuUFmD6pnJkNz1NFnNtzXtNipFhgOuElw3XxDDmlxrX8Oz3O0g56dspP2yYfkbbv7Fzhoevl9fHIqgGt+BjfbGn+"
	if got := s.rightsDigest(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"shop", "shop", true}, {"shop", "SHOP", true}, {"shop", "shops", false}, {"", "", true}, {"", "%", true}, {"", "_", false},
		{"sh%", "shop", true}, {"sh%", "stock", false}, {"sh_p", "shop", true}, {"sh\\_p", "shop", false}, {"sh\\_p", "sh_p", true},
		{"sh%", "%op", true}, {"s%p", "sh%", true}, {"a%", "%b", true}, {"a%", "b%", false}, {"a_", "_b", true}, {"a_", "_b_", false},
		{"%a%b%", "%b%a%", true}, {"my_app", "other_app", false}, {"my_app", "my_other", false}, {"my_app", "my1app", true},
		{strings.Repeat("%a", 30), strings.Repeat("a%", 30) + "b", false},
	} {
		if got := overlap(tt.a, tt.b); got != tt.want {
			t.Errorf("overlap(%q, %q) = %t", tt.a, tt.b, got)
		}
		if got := overlap(tt.b, tt.a); got != tt.want {
			t.Errorf("overlap(%q, %q) = %t", tt.b, tt.a, got)
		}
	}
}

// Whatever changed on the two accounts, the current one loses no right and gains only rights that
// the other one has.
func TestTheAccountInUseIsOnlyGivenWhatTheOtherHas(t *testing.T) {
	universe := []right{
		{proxy, "", "other", "%", ""}, {global, "SELECT", "", "", ""}, {global, "RELOAD", "", "", ""}, globalGrantOption,
		{database, "SELECT", "shop", "", ""}, {database, "INSERT", "sh%", "", ""}, {database, "UPDATE", "sh%", "", ""},
		{database, grantOption, "stock", "", ""},
		{table, "SELECT", "shop", "orders", ""}, {columnOf, "SELECT", "shop", "orders", "id"}, {routine, "EXECUTE", "shop", "close", "PROCEDURE"},
		{dynamic, "BACKUP_ADMIN", "", "", ""}, {dynamic, "CLONE_ADMIN", "", "", ""}, {restriction, "SELECT", "shop", "", ""},
		{role, "", "r1", "%", ""}, {role, "", "app", "%", ""},
		{defaultRole, "", "r1", "%", ""},
	}
	options := []kind{proxy, dynamic, role}
	random := rand.New(rand.NewPCG(1, 2))
	change := func(s *Account, times int) {
		for range times {
			tr := trait{right: universe[random.IntN(len(universe))]}
			tr.option = slices.Contains(options, tr.kind) && random.IntN(2) == 0
			s.set(tr, random.IntN(2) == 0)
		}
	}
	ways := map[string]int{}
	for range 20_000 {
		last := &Account{Name: Name{"app_clone", "%"}, rights: map[right]bool{}, properties: map[string]string{}}
		change(last, 12)
		inUse, base := last.clone(), last.clone()
		base.Name = Name{"app", "%"}
		change(inUse, random.IntN(3))
		change(base, random.IntN(4))
		p := Pair{Digest: last.digest()}
		if random.IntN(2) == 0 {
			p.Rights = last.rightsDigest()
		}
		m := findDrift(inUse, base, p.last(inUse, base), NewPowers(&Server{}))
		lost, foreign := false, false // the base account lost a right; a right was given that it does not have
		for _, r := range universe {
			for _, tr := range []trait{{r, false}, {r, true}} {
				before, after := inUse.has(tr), m.source.has(tr)
				more := after == tr.widens()
				switch {
				case r.kind == defaultRole || r == universe[15]:
				case before != after && (!more || base.has(tr) != after || last.has(tr) == after):
					foreign = true
				case base.has(tr) != inUse.has(tr) && last.has(tr) == inUse.has(tr) && base.has(tr) != tr.widens():
					lost = true
				}
				if before != after && (r.kind == defaultRole || r == universe[15]) {
					foreign = true
				}
			}
		}
		err := m.refusal()
		switch {
		case err != nil:
			ways["held"]++
			continue
		case lost || foreign:
			t.Fatalf("rights of both %q, of %q, of %q: lost %t, foreign %t, given %v", last.lines(), inUse.lines(), base.lines(), lost, foreign,
				m.given)
		}
		for _, s := range m.steps {
			if !strings.HasPrefix(s.Statement, "GRANT ") || !s.OnSource || !strings.Contains(s.Statement, " TO 'app_clone'@'%'") {
				t.Fatalf("a step for the account in use: %+v", s)
			}
		}
		ways[fmt.Sprintf("given %t", len(m.steps) > 0)]++
	}
	for _, way := range []string{"held", "given true", "given false"} {
		if ways[way] < 1000 {
			t.Errorf("the cases were %v: want every kind", ways)
		}
	}
}
