package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// lookAround adds to a plan who is logged in as the standby, and warnings of what goes by the accounts' names: objects whose
// definer is one of them, and rules that name one of them. It takes one statement. Without definers it leaves out the objects:
// the server goes through all of its views and triggers for them, which on MariaDB are files.
func (a *Admin) lookAround(ctx context.Context, plan *Plan, definers bool) error {
	var parts []string
	if definers {
		parts = a.definersQuery("COUNT(*)", plan.Source, plan.Standby)
	}
	if plan.SessionsKnown = true; !plan.Create {
		view, err := a.sessionsView(ctx, plan.powers)
		if err != nil {
			return err
		}
		if plan.SessionsKnown = view != ""; plan.SessionsKnown {
			parts = append(parts, sessionsQuery(plan.Standby.User, view, 0))
		}
	}
	parts = append(parts, a.rulesQuery(plan)...)
	if len(parts) == 0 {
		return nil
	}
	rows, err := a.query(ctx, strings.Join(parts, " UNION ALL ")+" ORDER BY 1, 2, 3")
	if err != nil {
		return fmt.Errorf("look for sessions of %s and for objects by their definer: %w", plan.Standby, err)
	}
	objects, rules := map[string][]string{}, map[string][]string{}
	for _, r := range rows {
		switch r.text("kind") {
		case "session":
			plan.Sessions = addSession(plan.Sessions, r)
			continue
		case "rule":
			rules[r.text("a")] = append(rules[r.text("a")], r.text("b"))
			continue
		}
		definer := parseName(r.text("a")).String()
		n, _ := strconv.Atoi(r.text("n")) // a count
		objects[definer] = append(objects[definer], fmt.Sprintf("%s (%s)", plaintext.Count(n, r.text("kind")), r.text("b")))
	}
	plan.warnRules(&a.server, rules)
	for _, n := range []Name{plan.Source, plan.Standby} {
		if what := objects[n.String()]; what != nil {
			other := plan.Standby
			if n == other {
				other = plan.Source
			}
			plan.Warnings = append(plan.Warnings, fmt.Sprintf(
				"%s is the definer of %s: they stay with that name and need the account to exist, though it may be locked; %s cannot alter such a view (1227)."+
					" If the account is dropped, a SELECT from such a view is refused with 1045 in the name of the user who sends it, other uses with 1449",
				n, strings.Join(what, ", "), other))
		}
	}
	return nil
}

// definedIn are the views of objects that have a definer: what they list, and the columns with schema, name and definer.
// MariaDB has tables of routines and events, where an administrator sees those too that it has no rights on.
var definedIn = []struct{ kind, mysql, mariadb, schema, name string }{
	{"view", "information_schema.VIEWS", "information_schema.VIEWS", "TABLE_SCHEMA", "TABLE_NAME"},
	{"trigger", "information_schema.TRIGGERS", "information_schema.TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME"},
	{"routine", "information_schema.ROUTINES", "", "ROUTINE_SCHEMA", "ROUTINE_NAME"},
	{"routine", "", "mysql.proc", "db", "name"},
	{"event", "information_schema.EVENTS", "", "EVENT_SCHEMA", "EVENT_NAME"},
	{"event", "", "mysql.event", "db", "name"},
}

// definersQuery reads what accounts are the definers of, as far as the administrator may see it: in columns kind, a with the
// definer and b with an object. With a count in column n it is a row for each kind and definer, whose first object stands for
// all of them.
func (a *Admin) definersQuery(count string, accounts ...Name) []string {
	var definers, parts []string
	for _, n := range accounts {
		definers = append(definers, n.User+"@"+n.Host)
	}
	for _, d := range definedIn {
		view := d.mysql
		if a.server.mariadb {
			view = d.mariadb
		}
		if view == "" {
			continue
		}
		object, group := "CAST(CONCAT("+d.schema+", '.', "+d.name+") AS BINARY)", ""
		if count != "1" {
			object, group = "MIN("+object+")", " GROUP BY DEFINER"
		}
		parts = append(parts, "SELECT '"+d.kind+"' AS kind, CAST(DEFINER AS BINARY) AS a, "+object+" AS b, "+count+" AS n FROM "+view+
			" WHERE DEFINER IN "+quoteValues(definers)+group)
	}
	return parts
}

// Definers lists the objects whose definer is one of the accounts, readable, as far as the administrator may see them.
func (a *Admin) Definers(ctx context.Context, accounts ...Name) ([]string, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	rows, err := a.query(ctx, strings.Join(a.definersQuery("1", accounts...), " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("look for objects by their definer: %w", err)
	}
	var objects []string
	for _, r := range rows {
		objects = append(objects, fmt.Sprintf("%s %s of %s", r.text("kind"), r.text("b"), parseName(r.text("a"))))
	}
	slices.Sort(objects)
	return objects, nil
}

// KeepDefiner returns a fence for Drop that refuses an account which objects need to exist, and otherwise calls fence, which
// may be nil.
func (a *Admin) KeepDefiner(n Name, fence func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		names, err := a.Exists(ctx, n.User)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(names, n.same) {
			objects, err := a.Definers(ctx, n)
			if err != nil {
				return err
			}
			if len(objects) > 0 {
				return refuse(Definer, "%s stays locked instead of being dropped, because these need their definer to exist: %s;"+
					" give them another definer, after which it is dropped, or DROP USER %s", n, firstTen(objects), n)
			}
		}
		return mayPass(ctx, fence)
	}
}

// firstTen lists at most ten of them, and counts the rest.
func firstTen(all []string) string {
	if len(all) > 10 {
		all = append(all[:10:10], fmt.Sprintf("and %d more", len(all)-10))
	}
	return strings.Join(all, ", ")
}

// lackingToDropDefiner says what the administrator needs to drop an account that is the definer of objects, and has not.
// MySQL asks for a right of its own, whose name has changed.
func (a *Admin) lackingToDropDefiner(ctx context.Context, p *powers, n Name) (string, error) {
	if !a.server.keepsDefiners() || p.dynamic("ALLOW_NONEXISTENT_DEFINER") || p.dynamic("SET_USER_ID") {
		return "", nil
	}
	objects, err := a.Definers(ctx, n)
	if err != nil || len(objects) == 0 {
		return "", err
	}
	return "ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) on *.*, unless these are given another definer: " + firstTen(objects), nil
}
