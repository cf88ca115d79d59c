package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// passes bounds how often Sync goes over a pair: more than two are needed only while somebody else changes it too.
const passes = 5

// Sync makes the standby, created if it is absent, equal to the source in properties and rights, and proves it by reading
// both back. A standby created is locked and nobody knows a password of it. One in sync receives no changing statement.
// The plan returned lists what was done, also along with an error.
func (a *Admin) Sync(ctx context.Context, p grants.Pair) (*grants.Plan, error) {
	var done *grants.Plan
	err := a.inForce(ctx, func() error {
		return a.locked(ctx, []string{p.Source.User, p.Standby}, func(ctx context.Context) (err error) {
			done, err = a.sync(ctx, p)
			return err
		})
	})
	return done, err
}

func (a *Admin) sync(ctx context.Context, p grants.Pair) (done *grants.Plan, err error) {
	var inUse *grants.InMemory // stays as it is, unless a step changes the source
	for pass := 1; ; pass++ {
		ps, err := a.source(ctx, p)
		if err != nil {
			return done, err
		}
		ps.SourceInMemory = inUse
		var plan *grants.Plan
		if pass == 1 {
			plan, err = a.proved(ctx, p, ps)
		} else {
			plan, err = a.plan(ctx, p, ps)
		}
		if err != nil {
			return done, err
		}
		if done == nil {
			done = plan
			a.addElsewhere(done)
			done.WarnExpiry(ps.Source, &a.server, done.Standby, time.Now(), p.Next)
			if done.Create || p.Digest == "" { // later it has been said
				if err := a.warnRevoke(ctx, done); err != nil {
					return nil, err
				}
				if err := a.checkReplication(ctx, p, done); err != nil {
					return nil, err
				}
			}
			if err := a.lookAround(ctx, done, done.Create); err != nil {
				return nil, err
			}
			if err := a.endOld(ctx, p, ps, done); err != nil {
				return nil, err
			}
		} else {
			done.Digest, done.Rights, done.StandbyStored = plan.Digest, plan.Rights, plan.StandbyStored
			done.Changes = append(done.Changes, plan.Immediate()...)
		}
		var left []string
		for _, c := range plan.Immediate() {
			left = append(left, c.Text)
		}
		inUse = ps.SourceInMemory
		if left == nil {
			if left = grants.DifferencesInMemory(plan.Source, inUse, plan.Standby, plan.StandbyInMemory); left != nil {
				return done, grants.Refuse(grants.Stale, "%s and %s are equal in the grant tables and not in the server's memory, which FLUSH PRIVILEGES may mend: %s",
					plan.Source, plan.Standby, strings.Join(left, "; "))
			}
			return done, nil
		}
		if pass > passes {
			return done, grants.Refuse(grants.Busy, "%s is still not equal to %s after %d passes, as if somebody else changes them too: %s", plan.Standby, plan.Source, passes, strings.Join(left, "; "))
		}
		if pass == 1 {
			if err := mayPass(ctx, p.Fence); err != nil {
				return nil, err
			}
			p.Base = false // what is left to do may be what the statements did besides, which was meant for nobody
		}
		for i, st := range plan.Steps {
			if st.Statement == "" {
				continue
			}
			if st.OnSource {
				inUse = nil
			}
			err := a.apply(ctx, st)
			if plan.Create && i == 0 {
				err = a.notCreated(ctx, plan.Standby, err)
			}
			if err != nil {
				return done, fmt.Errorf("%s (change %d of %d): %w", st.Text, i+1, len(plan.Steps), err)
			}
		}
	}
}

func (a *Admin) apply(ctx context.Context, st grants.Step) error {
	if st.OracleMode {
		if err := a.exec(ctx, "SET SESSION sql_mode = 'ORACLE'"); err != nil {
			return err
		}
		// By closing the connection, should it fail; every other statement counts on the mode of before.
		defer func() {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if a.exec(end, "SET SESSION sql_mode = "+sqlMode) != nil {
				a.discard()
			}
		}()
	}
	err := a.exec(ctx, st.SQL())
	if e := serverError(err); e != nil && e.Number == errNoSuchTable && st.DroppedTable != nil {
		if err = a.exec(ctx, st.DroppedTable.Grant); err == nil && st.DroppedTable.RevokeCreate != "" {
			err = a.exec(ctx, st.DroppedTable.RevokeCreate)
		}
	}
	return err
}

// Differences compares two accounts as they are now and lists the lines that differ; none if they are equal in every
// property and right.
func (a *Admin) Differences(ctx context.Context, source, standby grants.Name) ([]string, error) {
	states, err := a.read(ctx, source.User, standby.User)
	if err != nil {
		return nil, err
	}
	var x, y *grants.Account
	for _, s := range states {
		switch {
		case s.Name.Same(source):
			x = s
		case s.Name.Same(standby):
			y = s
		}
	}
	if x == nil || y == nil {
		return nil, errors.Join(grants.RefuseAbsent(x, source), grants.RefuseAbsent(y, standby))
	}
	return grants.DifferentLines(x.Name, x.AllLines(), y.Name, y.AllLines()), nil
}
