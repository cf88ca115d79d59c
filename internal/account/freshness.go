package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/grants"
)

// A session has the global privileges that its account had at login, whatever the grant tables say
// now, and no statement shows them. So a session is trusted to have what the tables say only if it
// is new, or if the tables have not changed since an earlier session of the same pool read them. A
// session that was refused because of the server's state is not reused either: a new one may reach
// another server.

// freshness is what is known about the age of a session.
type freshness struct {
	fresh    bool // the connection was opened for this Admin rather than taken from the pool
	look     int  // value of force.look at which the session is known to have the rights read then
	unusable bool // must not be returned to the pool
}

// force tracks the rights of the sessions of a pool.
type force struct {
	mu     sync.Mutex
	rights string // digest of the administrator's rights as last read, or ""
	look   int    // incremented whenever the digest changes
}

var errOldSession = errors.New("the administrator's rights changed while the session was open")

type freshKey struct{}

// noteFresh is called by the driver before it opens a connection.
func noteFresh(ctx context.Context, _ *mysql.Config) error {
	if fresh, ok := ctx.Value(freshKey{}).(*bool); ok {
		*fresh = true
	}
	return nil
}

// connect takes a session from the pool, or opens one.
func (a *Admin) connect(ctx context.Context) (err error) {
	if !a.placed { // a session that connects again has its place
		if err := a.enter(ctx); err != nil {
			return err
		}
	}
	a.freshness = freshness{}
	a.pool.force.mu.Lock()
	a.look = a.pool.force.look
	a.pool.force.mu.Unlock()
	a.conn, err = a.pool.db.Conn(context.WithValue(ctx, freshKey{}, &a.fresh))
	return err
}

// enter takes one of the pool's places. If the server does not answer, it returns an error within seconds: when a server freezes, the
// sessions that are waiting for a statement keep their places for a minute, and a new session need not wait that long.
func (a *Admin) enter(ctx context.Context) error {
	servers, login := &a.dialer.servers, a.pool.login
	for check := servers.Silent(login.Addr); ; check = true {
		if check {
			if err := servers.Check(ctx, login); err != nil {
				return err
			}
		}
		select {
		case a.pool.places <- struct{}{}:
			pool, release := a.pool, a.release
			a.placed = true
			a.release = sync.OnceFunc(func() { <-pool.places; release() }) // Close may be called twice
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(connection.Patience):
		}
	}
}

// retire discards the connection of a session that must not be reused.
func (a *Admin) retire() {
	a.pool.force.mu.Lock()
	old := a.look != a.pool.force.look
	a.pool.force.mu.Unlock()
	if a.unusable {
		a.pool.forget()
	}
	if a.unusable || old {
		a.discard()
	}
}

// forget closes the idle connections, and drops the pool's metadata.
func (p *pool) forget() {
	p.metadata.Store(nil)
	p.closeIdle()
}

func (p *pool) closeIdle() {
	p.db.SetMaxIdleConns(-1)
	p.db.SetMaxIdleConns(poolSize)
}

// noteError marks the session as unusable if the server's error concerns its state or the administrator's
// rights. The next attempt needs a new session, because by then the state may have changed, or the address may
// lead to another server.
func (a *Admin) noteError(err error) {
	if e := serverError(err); e != nil && slices.Contains(unusableAfter, e.Number) {
		a.unusable = true
	}
}

// unusableAfter are the errors of a server that is read-only or behind its group, and of missing
// rights.
var unusableAfter = []uint16{1044, 1045, 1047, 1095, 1142, 1143, 1227, 1290, 1370, 1698, 1792, 1836, 3032, 3796, 3797, 3879, 6400}

// checkFreshness returns errOldSession unless the session is known to have the rights that were just read.
func (a *Admin) checkFreshness(p *grants.Powers) error {
	sum := sha256.Sum256([]byte(p.Text()))
	digest := hex.EncodeToString(sum[:])
	f := &a.pool.force
	f.mu.Lock()
	defer f.mu.Unlock()
	if !a.fresh && (f.rights != digest || a.look != f.look) {
		return errOldSession
	}
	if f.rights != digest {
		if f.rights != "" { // other roles may be active as well
			a.pool.metadata.Store(nil)
		}
		a.pool.closeIdle()
		f.rights = digest
		f.look++
	}
	a.look = f.look
	return nil
}

// withCurrentRights calls f. If the session is older than the rights that f read, it calls f again
// on a new session.
func (a *Admin) withCurrentRights(ctx context.Context, f func() error) error {
	err := f()
	if !errors.Is(err, errOldSession) {
		return err
	}
	if len(a.locks) > 0 { // they would be lost with the session
		a.unusable = true
		return grants.Refuse(grants.Busy, "the rights of administrator %s changed while its session was open: "+
			"the step is retried with a new session", a.name)
	}
	a.discard()
	_ = a.conn.Close() // it is closed already
	a.pool.forget()
	if err := a.connect(ctx); err != nil {
		return cause(ctx, err)
	}
	a.server, a.name, a.roles = grants.Server{}, grants.Name{}, nil
	if err := a.enterServer(ctx); err != nil {
		return err
	}
	return f()
}
