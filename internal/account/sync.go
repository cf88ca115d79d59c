package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// passes limits how often Sync compares and changes a pair. More than two are necessary only if
// something else changes the pair at the same time.
const passes = 5

// Sync makes the standby equal to the source in properties and rights, and reads both back to
// verify this. If there is no standby, it creates one, locked and without a guessable password. If
// the standby is already equal, it sends no statement that changes anything. The plan that it
// returns lists what was done, even if it returns an error.
func (a *Admin) Sync(ctx context.Context, p grants.Pair) (*grants.Plan, error) {
	var done *grants.Plan
	err := a.withCurrentRights(ctx, func() error {
		return a.locked(ctx, []string{p.Source.User, p.Standby}, func(ctx context.Context) (err error) {
			done, err = a.sync(ctx, p)
			return err
		})
	})
	return done, err
}

func (a *Admin) sync(ctx context.Context, p grants.Pair) (done *grants.Plan, err error) {
	var inUse *grants.InMemory // reread only after a step that changes the source
	for pass := 1; ; pass++ {
		ps, plan, err := a.planPass(ctx, p, pass == 1, inUse)
		if err != nil {
			return done, err
		}
		if done == nil {
			done = plan
			done.WarnExpiry(ps.Source, &a.server, done.Standby, time.Now(), p.Next)
			first := done.Create || p.Digest == "" // later rotations do not repeat these warnings
			if err := a.beforeChanges(ctx, p, ps, done, first, done.Create); err != nil {
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
				return done, grants.Refuse(grants.Stale, "%s and %s are equal in the grant tables but not in the server's memory, "+
					"which FLUSH PRIVILEGES may repair: %s",
					plan.Source, plan.Standby, strings.Join(left, "; "))
			}
			return done, nil
		}
		if pass > passes {
			return done, grants.Refuse(grants.Busy, "%s is still not equal to %s after %d passes, as if something else changes them too: %s",
				plan.Standby, plan.Source, passes, strings.Join(left, "; "))
		}
		if pass == 1 {
			if err := a.mayChange(ctx, p.Fence); err != nil {
				return nil, err
			}
			p.Base = false // what is left may be side effects of the statements, which no one intended
		}
		if slices.ContainsFunc(plan.Steps, func(s grants.Step) bool { return s.OnSource }) {
			inUse = nil
		}
		if err := a.run(ctx, plan); err != nil {
			return done, err
		}
	}
}

// planPass reads the pair and plans the changes, with a proof in the first pass.
func (a *Admin) planPass(
	ctx context.Context, p grants.Pair, first bool, inUse *grants.InMemory,
) (ps *grants.Snapshot, plan *grants.Plan, err error) {
	if first {
		var proof func() error
		if ps, proof, err = a.sourceWithProof(ctx, p); err != nil {
			return nil, nil, err
		}
		plan, err = a.planWithProof(ctx, p, ps, proof)
		return ps, plan, err
	}
	if ps, err = a.source(ctx, p); err != nil {
		return nil, nil, err
	}
	ps.SourceInMemory = inUse
	plan, err = a.plan(ctx, p, ps)
	return ps, plan, err
}

// beforeChanges makes the checks, and looks for the warnings, that each rotation needs only once.
// first reports whether this is the pair's first rotation, and definers whether to look for objects
// by their definer.
func (a *Admin) beforeChanges(ctx context.Context, p grants.Pair, ps *grants.Snapshot, plan *grants.Plan, first, definers bool) error {
	a.addElsewhere(plan)
	if first {
		if err := a.warnRevoke(ctx, plan); err != nil {
			return err
		}
		if err := a.checkReplication(ctx, p, plan); err != nil {
			return err
		}
	}
	if err := a.addSessionsAndNames(ctx, plan, definers); err != nil {
		return err
	}
	return a.decideOnSessions(ctx, p, ps, plan)
}

// run runs the statements of a plan.
func (a *Admin) run(ctx context.Context, plan *grants.Plan) error {
	for i, st := range plan.Steps {
		if st.Statement == "" { // comes with the next password
			continue
		}
		err := a.apply(ctx, st)
		if plan.Create && i == 0 {
			err = a.notCreated(ctx, plan.Standby, err)
		}
		if err != nil {
			return fmt.Errorf("%s (change %d of %d): %w", st.Text, i+1, len(plan.Steps), err)
		}
	}
	return nil
}

func (a *Admin) apply(ctx context.Context, st grants.Step) error {
	if st.OracleMode {
		if err := a.exec(ctx, "SET SESSION sql_mode = 'ORACLE'"); err != nil {
			return err
		}
		// If this fails, the connection is closed, because every other statement depends on the
		// previous mode.
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

// Differences compares two accounts as they are now, and returns the lines that differ. It returns
// none if all properties and rights are equal.
func (a *Admin) Differences(ctx context.Context, source, standby grants.Name) ([]string, error) {
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	states, err := a.readNamed(ctx, source, standby)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", a.deniedRead(ctx, err))
	}
	if err := a.addRights(ctx, []string{source.User, standby.User}, states); err != nil {
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
