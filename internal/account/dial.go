// Package account reads, compares and changes accounts on servers of MySQL and MariaDB. What the accounts mean and which
// statements make them equal is in package grants; this package holds the sessions.
//
// Two accounts are read, their difference becomes statements, and both are read again. No password reaches a server in clear
// text except to log in.
package account

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/connection"
	"github.com/rotate-user/rotate-user/internal/grants"
)

// Endpoint is where a server listens.
type Endpoint struct {
	Host     string
	Port     int
	TLS      bool   // verified, chain and host name; false: clear text. There is nothing in between.
	Database string // to enter at login; may be empty
}

func (e Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Dialer opens connections. The zero value verifies servers against the system's roots. A Dialer keeps administrators'
// connections for a short while; it must not be copied after its first use.
type Dialer struct {
	RootCAs      *x509.CertPool    // nil: the system's
	Certificates []tls.Certificate // the client's, for accounts with REQUIRE X509 and the like
	// Trust, if it is set, is asked before each login and counts instead of the two fields above. It returns the same pointer
	// until its answer changes.
	Trust func() *Trust

	servers connection.Servers

	mu    sync.Mutex
	pools map[poolKey]*pool

	// Verified TLS sessions of servers, by host name, made on first use: a login that resumes one is spared half of its cost.
	// They say who the server is, and nothing of the user. A change of what is trusted ends them.
	tlsMu    sync.Mutex
	trusted  *Trust
	sessions tls.ClientSessionCache
}

// Trust is what servers are verified against, and what is shown to them.
type Trust struct {
	RootCAs      *x509.CertPool
	Certificates []tls.Certificate
}

// trust returns what counts now, and the sessions that were made with it. The pointer is nil if it never changes.
func (d *Dialer) trust() (*Trust, tls.ClientSessionCache) {
	var now *Trust
	if d.Trust != nil {
		now = d.Trust()
	}
	d.tlsMu.Lock()
	defer d.tlsMu.Unlock()
	if d.sessions == nil || d.trusted != now {
		d.trusted, d.sessions = now, tls.NewLRUClientSessionCache(0)
	}
	return now, d.sessions
}

// certificates are the client's, as they are now.
func (d *Dialer) certificates() []tls.Certificate {
	if d.Trust != nil {
		return d.Trust().Certificates
	}
	return d.Certificates
}

const (
	dialTimeout  = 10 * time.Second
	replyTimeout = 60 * time.Second // above lock_wait_timeout, so that the server's answer comes first
	lockWait     = 15               // seconds to wait behind a backup's or another session's lock
	idleTime     = 30 * time.Second
	sessionLife  = 30 * time.Second // a session that retries keep busy must not stay with a server that is no longer the primary
	abandoned    = 90               // seconds without a statement until the server ends a session, and with it the lock that it holds
	poolSize     = 4                // an administrator's connections to one server; a session holds one
)

// sqlMode is the sql_mode of administrators' sessions: the empty one, except where GRANT makes an account that it does not
// find, without a password. MySQL 8.0 and later never do, and do not know the mode that forbids it.
const sqlMode = "IF(VERSION() LIKE '%MariaDB%' OR VERSION() LIKE '5.%', 'NO_AUTO_CREATE_USER', '')"

// Login is what a server says of a login.
type Login struct {
	Account grants.Name // CURRENT_USER(): the account whose rights the login has
	Version string
	TLS     bool // the connection was encrypted and the server verified
	// Connection is what CONNECTION_ID() was. The server may list it for a moment after it was closed.
	Connection uint64
}

// Login logs in once as an application would, and closes the connection.
func (d *Dialer) Login(ctx context.Context, ep Endpoint, user, password string) (Login, error) {
	return d.logIn(ctx, ep, user, password, func(*sql.Conn) error { return nil })
}

// LoginReady is Login where nothing else asks the server: it refuses a node that is cut off from its cluster, which answers
// logins with what it knew before.
func (d *Dialer) LoginReady(ctx context.Context, ep Endpoint, user, password string) (Login, error) {
	return d.logIn(ctx, ep, user, password, func(conn *sql.Conn) error {
		n, err := askState(ctx, conn, ep)
		if err != nil || n.id == "" { // not a node
			return err
		}
		return n.check()
	})
}

func (d *Dialer) logIn(ctx context.Context, ep Endpoint, user, password string, check func(*sql.Conn) error) (Login, error) {
	c, _ := d.config(ep, user, password)
	db, err := d.servers.Open(c)
	if err != nil {
		return Login{}, fmt.Errorf("log in as %s on %s: %w", grants.QuoteUser(user), ep, err)
	}
	defer db.Close()
	l := Login{TLS: ep.TLS}
	var current string
	conn, err := db.Conn(ctx)
	if err == nil {
		defer conn.Close()
		err = conn.QueryRowContext(ctx, "SELECT CURRENT_USER(), VERSION(), CONNECTION_ID()").Scan(&current, &l.Version, &l.Connection)
	}
	if err == nil {
		err = check(conn)
	}
	if err != nil {
		return Login{}, fmt.Errorf("log in as %s on %s: %w", grants.QuoteUser(user), ep, cause(ctx, err))
	}
	l.Account = grants.ParseName(current)
	return l, nil
}

// config also returns what is trusted, for a connection that is encrypted.
func (d *Dialer) config(ep Endpoint, user, password string) (*mysql.Config, *Trust) {
	var trust *Trust
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", ep.String()
	c.User, c.Passwd, c.DBName = user, password, ep.Database
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTimeout, replyTimeout, replyTimeout
	c.ConnectionAttributes = "program_name:rotate-user"
	c.Logger = &mysql.NopLogger{}
	if ep.TLS {
		now, sessions := d.trust()
		roots, certificates := d.RootCAs, d.Certificates
		if trust = now; trust != nil {
			roots, certificates = trust.RootCAs, trust.Certificates
		}
		c.TLS = &tls.Config{
			RootCAs:      roots,
			Certificates: certificates,
			ServerName:   ep.Host,
			MinVersion:   tls.VersionTLS12,
			CipherSuites: cipherSuites(),

			ClientSessionCache: sessions,
		}
	}
	return c, trust
}

// cipherSuites are Go's own for TLS 1.2, and after them two with RSA key exchange: community builds of MySQL 5.7 offer no other that
// Go knows. TLS 1.3 is not affected, and a server that has better ones is not asked for these.
func cipherSuites() []uint16 {
	var suites []uint16
	for _, s := range tls.CipherSuites() {
		suites = append(suites, s.ID)
	}
	return append(suites, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
}

// poolKey tells pools apart. Connections with different rights or routes never mix.
type poolKey struct {
	endpoint Endpoint
	user     string
	password [sha256.Size]byte
	trust    *Trust
	node     string // the id of the one node of a cluster that they lead to; empty for any server
}

// pool is one administrator's connections to one server. inUse is how many sessions hold it now, and used is when the last of them gave
// it back.
type pool struct {
	db       *sql.DB
	at       Endpoint
	login    *mysql.Config
	inUse    int
	used     time.Time
	metadata atomic.Pointer[metadata] // nil before the first survey
	force    force

	astray atomic.Pointer[astray] // nil before a search for the writer was in vain
}

// Admin is an administrator's session: one connection whose settings are pinned. It is for one goroutine at a time.
type Admin struct {
	// Force makes this session end another that holds the lock on an account it needs, rather than wait for it, unless
	// that one is logged in as the same user.
	Force bool

	conn     *sql.Conn
	pool     *pool
	home     *pool // of the address that the session was opened for; pool may be that of one node of its cluster
	release  func()
	name     grants.Name // CURRENT_USER()
	roles    []grants.Name
	server   grants.Server
	dialer   *Dialer
	locks    []string // the user names whose locks it holds
	patience time.Duration
	freshness

	elsewhere string // why accounts are not changed on the cluster's writer; empty if they are
}

// Admin opens an administrator's session, or takes one that was given back a moment ago. Close gives it back.
func (d *Dialer) Admin(ctx context.Context, ep Endpoint, user, password string) (*Admin, error) {
	p, release, err := d.pool(ep, user, password, "")
	if err != nil {
		return nil, fmt.Errorf("log in as administrator %s on %s: %w", grants.QuoteUser(user), ep, err)
	}
	a := &Admin{pool: p, home: p, release: release, dialer: d, patience: lockPatience}
	if err := a.connect(ctx); err != nil {
		release()
		return nil, fmt.Errorf("log in as administrator %s on %s: %w", grants.QuoteUser(user), ep, cause(ctx, err))
	}
	if err := a.enterServer(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("administrator %s on %s: %w", grants.QuoteUser(user), ep, err)
	}
	return a, nil
}

// Close gives the session back. The session must not be used after it.
func (a *Admin) Close() error {
	defer a.release()
	a.retire()
	err := a.conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

func (d *Dialer) pool(ep Endpoint, user, password, node string) (*pool, func(), error) {
	ep.Database = "" // an administrator needs none, and may not be let into the application's
	c, trust := d.config(ep, user, password)
	key := poolKey{ep, user, sha256.Sum256([]byte(password)), trust, node}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for k, p := range d.pools {
		if k != key && p.inUse == 0 && now.Sub(p.used) > idleTime {
			p.db.Close()
			delete(d.pools, k)
		}
	}
	p := d.pools[key]
	if p == nil {
		c.Params = pins
		if err := c.Apply(mysql.BeforeConnect(noteFresh)); err != nil {
			return nil, nil, err
		}
		db, err := d.servers.Open(c)
		if err != nil {
			return nil, nil, err
		}
		p = &pool{db: db, at: ep, login: c}
		p.db.SetMaxOpenConns(poolSize)
		p.db.SetMaxIdleConns(poolSize)
		p.db.SetConnMaxIdleTime(idleTime)
		p.db.SetConnMaxLifetime(sessionLife)
		if d.pools == nil {
			d.pools = map[poolKey]*pool{}
		}
		d.pools[key] = p
	}
	p.inUse++
	return p, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		p.inUse--
		p.used = time.Now()
	}, nil
}

// Close ends all kept connections. Sessions still open end with their own Close.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for k, p := range d.pools {
		errs = append(errs, p.db.Close())
		delete(d.pools, k)
	}
	return errors.Join(errs...)
}

// cause prefers the context's end to what the driver makes of it, which is a bad connection.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
