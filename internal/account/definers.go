package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// addSessionsAndNames adds to a plan the sessions of the standby, and warnings about what depends
// on the accounts' names: objects whose definer is one of them, and rules that name one of them. It
// takes one statement. It skips the objects if definers is false, because the server goes through
// all of its views and triggers for them, which on MariaDB are files.
func (a *Admin) addSessionsAndNames(ctx context.Context, plan *grants.Plan, definers bool) error {
	var parts []string
	if definers {
		parts = a.server.DefinersQueries("COUNT(*)", plan.Source, plan.Standby)
	}
	if plan.SessionsKnown = true; !plan.Create {
		view, err := a.sessionsView(ctx, plan.Powers)
		if err != nil {
			return err
		}
		if plan.SessionsKnown = view != ""; plan.SessionsKnown {
			parts = append(parts, grants.SessionsQuery(plan.Standby.User, view, 0))
		}
	}
	parts = append(parts, a.server.RulesQueries(plan)...)
	if len(parts) == 0 {
		return nil
	}
	rows, err := a.query(ctx, strings.Join(parts, " UNION ALL ")+" ORDER BY 1, 2, 3")
	if err != nil {
		return fmt.Errorf("read the sessions of %s and the objects of its definer: %w", plan.Standby, err)
	}
	objects, rules := map[string][]string{}, map[string][]string{}
	for _, r := range rows {
		switch r.Text("kind") {
		case "session":
			plan.Sessions = grants.AddSession(plan.Sessions, r)
			continue
		case "rule":
			rules[r.Text("a")] = append(rules[r.Text("a")], r.Text("b"))
			continue
		}
		definer := grants.ParseName(r.Text("a")).String()
		n, _ := strconv.Atoi(r.Text("n")) // a count
		objects[definer] = append(objects[definer], fmt.Sprintf("%s (%s)", plaintext.Count(n, r.Text("kind")), r.Text("b")))
	}
	plan.WarnRules(&a.server, rules)
	for _, n := range []grants.Name{plan.Source, plan.Standby} {
		if what := objects[n.String()]; what != nil {
			other := plan.Standby
			if n == other {
				other = plan.Source
			}
			plan.Warnings = append(plan.Warnings, fmt.Sprintf(
				"%s is the definer of %s. These objects keep that definer and need the account to exist, although it may be locked;"+
					" %s cannot alter such a view (error 1227). If the account is dropped, a SELECT from such a view fails with error 1045,"+
					" which names the user who sent it, and other uses fail with error 1449",
				n, strings.Join(what, ", "), other))
		}
	}
	return nil
}

// Definers lists the objects whose definer is one of the accounts, as text, as far as the
// administrator may see them.
func (a *Admin) Definers(ctx context.Context, accounts ...grants.Name) ([]string, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	rows, err := a.query(ctx, strings.Join(a.server.DefinersQueries("1", accounts...), " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("read objects by their definer: %w", err)
	}
	var objects []string
	for _, r := range rows {
		objects = append(objects, fmt.Sprintf("%s %s of %s", r.Text("kind"), r.Text("b"), grants.ParseName(r.Text("a"))))
	}
	slices.Sort(objects)
	return objects, nil
}

// KeepDefiner returns a fence for Drop that refuses to drop an account if objects need it to exist,
// and otherwise calls fence, which may be nil.
func (a *Admin) KeepDefiner(n grants.Name, fence func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		names, err := a.Exists(ctx, n.User)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(names, n.Same) {
			objects, err := a.Definers(ctx, n)
			if err != nil {
				return err
			}
			if len(objects) > 0 {
				return grants.Refuse(grants.Definer, "%s stays locked instead of being dropped, because these need their definer to exist: %s;"+
					" give them another definer, and the account will be dropped, or run DROP USER %s", n, firstTen(objects), n)
			}
		}
		return a.mayChange(ctx, fence)
	}
}

// firstTen lists at most ten items, and counts the rest.
func firstTen(all []string) string {
	if len(all) > 10 {
		all = append(all[:10:10], fmt.Sprintf("and %d more", len(all)-10))
	}
	return strings.Join(all, ", ")
}

// lackingToDropDefiner returns what the administrator lacks to drop an account that is the definer
// of objects, or "". MySQL requires a separate privilege for this, whose name has changed.
func (a *Admin) lackingToDropDefiner(ctx context.Context, p *grants.Powers, n grants.Name) (string, error) {
	if !a.server.KeepsDefiners() || p.HasDynamic("ALLOW_NONEXISTENT_DEFINER") || p.HasDynamic("SET_USER_ID") {
		return "", nil
	}
	objects, err := a.Definers(ctx, n)
	if err != nil || len(objects) == 0 {
		return "", err
	}
	return "ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2) on *.*, unless these are given another definer: " + firstTen(objects), nil
}
