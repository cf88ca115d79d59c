package account

import (
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// powers collects the administrator's rights from the accounts read. It also reads the roles of
// roles, until it finds no new ones.
func (a *Admin) powers(ctx context.Context, states []*grants.Account) (*grants.Powers, error) {
	known := map[grants.Key]*grants.Account{}
	for _, s := range states {
		known[s.Name.Key()] = s
	}
	p := grants.NewPowers(&a.server)
	seen := map[grants.Key]bool{}
	for wanted := append([]grants.Name{a.name}, a.roles...); len(wanted) > 0; {
		var next []grants.Name
		var unread []string
		for _, n := range wanted {
			if known[n.Key()] == nil && !seen[n.Key()] {
				unread = append(unread, n.User)
			}
		}
		if unread != nil {
			more, err := a.read(ctx, unread...)
			if err != nil {
				return nil, err
			}
			for _, s := range more {
				known[s.Name.Key()] = s
			}
		}
		for _, n := range wanted {
			s := known[n.Key()]
			if s == nil || seen[n.Key()] {
				continue
			}
			seen[n.Key()] = true
			p.Add(s)
			if n == a.name {
				continue // the session knows which of the administrator's own roles are active; a role's roles are active with it
			}
			next = append(next, s.Roles()...)
		}
		wanted = next
	}
	return p, a.checkFreshness(p)
}

// cannotRead refuses an administrator that cannot read the grant tables. It lists everything that
// is known to be missing from what every account may read, its own grants.
func (a *Admin) cannotRead(ctx context.Context) error {
	rows, err := a.query(ctx, "SELECT CURRENT_USER() AS me")
	if err == nil && len(rows) == 1 {
		a.name = grants.ParseName(rows[0].Text("me"))
		rows, err = a.query(ctx, "SHOW GRANTS")
	}
	if err != nil {
		return fmt.Errorf("show the administrator's own grants: %w", err)
	}
	return grants.RefuseUnreadable(a.name, rowTexts(rows))
}
