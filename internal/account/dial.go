// Package account reads, compares and changes accounts on MySQL and MariaDB servers. Package grants
// knows what accounts mean and which statements make them equal; this package has the sessions.
//
// To synchronize two accounts, it reads both, executes the statements for their difference, and
// reads both again. It sends a password to a server in clear text only to log in.
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
	TLS      bool   // encrypted, with certificate and host name verified; if false, not encrypted at all
	Database string // default database; may be empty
}

func (e Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Dialer opens connections. The zero value verifies servers against the system's certificate
// authorities. A Dialer keeps administrators' connections for a short time, and must not be copied
// after its first use.
type Dialer struct {
	RootCAs      *x509.CertPool    // nil means the system's
	Certificates []tls.Certificate // client certificates, for accounts with REQUIRE X509 and the like
	// ServerNames has, by host in lower case, the name that the host's certificate must have, as
	// common name or as host name, if that is not the host. The certificate is verified all the same.
	ServerNames map[string]string
	// Trust, if set, is called before each login and replaces RootCAs and Certificates. It must return
	// the same pointer until its result changes.
	Trust func() *Trust

	servers connection.Servers

	mu    sync.Mutex
	pools map[poolKey]*pool

	// sessions caches verified TLS sessions by host name, because resuming one halves the cost of a
	// login. A session identifies the server and contains nothing about the user. It is discarded
	// when the trust changes.
	tlsMu    sync.Mutex
	trusted  *Trust
	sessions tls.ClientSessionCache
}

// Trust is what servers are verified against, and the client certificates that they are shown.
type Trust struct {
	RootCAs      *x509.CertPool
	Certificates []tls.Certificate
}

// trust returns the current Trust, and the cache of sessions that were made with it. The pointer is
// nil if it never changes.
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

// certificates returns the current client certificates.
func (d *Dialer) certificates() []tls.Certificate {
	if d.Trust != nil {
		return d.Trust().Certificates
	}
	return d.Certificates
}

const (
	dialTimeout  = 10 * time.Second
	replyTimeout = 60 * time.Second // above lock_wait_timeout, so that the server answers first
	lockWait     = 15               // seconds to wait behind a backup's or another session's lock
	idleTime     = 30 * time.Second
	sessionLife  = 30 * time.Second // a session that retries keep in use must not stay on a server that is no longer the primary
	abandoned    = 90               // seconds without a statement after which the server ends a session and releases its locks
	poolSize     = 4                // an administrator's connections to one server; each session holds one
)

// sqlMode is the sql_mode of administrators' sessions. It is empty, except on servers where GRANT
// would create a missing account without a password. MySQL 8.0 and later never do that, and do not
// know the mode that forbids it.
const sqlMode = "IF(VERSION() LIKE '%MariaDB%' OR VERSION() LIKE '5.%', 'NO_AUTO_CREATE_USER', '')"

// Login is the result of a login.
type Login struct {
	Account grants.Name // CURRENT_USER(), the account whose rights the login has
	Version string
	TLS     bool // the connection is encrypted, and the server was verified
	// Connection is CONNECTION_ID(). The server may still list it for a moment after the connection
	// was closed.
	Connection uint64
}

// Login logs in once, as an application would, and closes the connection.
func (d *Dialer) Login(ctx context.Context, ep Endpoint, user, password string) (Login, error) {
	return d.logIn(ctx, ep, user, password, func(*sql.Conn) error { return nil })
}

// LoginReady is Login for an address that is not otherwise checked. It refuses a node that is cut
// off from its cluster and accepts logins from what it knew before.
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

// config also returns the Trust that an encrypted connection uses.
func (d *Dialer) config(ep Endpoint, user, password string) (*mysql.Config, *Trust) {
	var trust *Trust
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", ep.String()
	c.User, c.Passwd, c.DBName = user, password, ep.Database
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTimeout, replyTimeout, replyTimeout
	c.ConnectionAttributes = "program_name:rotate-user"
	c.Logger = &mysql.NopLogger{}
	if ep.TLS {
		c.TLS, trust = d.tlsConfig(ep.Host)
	}
	return c, trust
}

// cipherSuites returns Go's defaults for TLS 1.2, followed by two with RSA key exchange, because
// community builds of MySQL 5.7 offer no others that Go supports. TLS 1.3 is not affected, and a
// server that has better ones does not choose these.
func cipherSuites() []uint16 {
	var suites []uint16
	for _, s := range tls.CipherSuites() {
		suites = append(suites, s.ID)
	}
	return append(suites, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
}

// poolKey identifies a pool. Connections with different rights or to different servers are never
// mixed.
type poolKey struct {
	endpoint Endpoint
	user     string
	password [sha256.Size]byte
	trust    *Trust
	node     string // id of the cluster node that all connections lead to; empty for any server
}

// pool has one administrator's connections to one server. inUse counts the sessions that hold it
// now, and used is when the last of them was closed.
type pool struct {
	db       *sql.DB
	places   chan struct{} // each session has one
	at       Endpoint
	login    *mysql.Config
	inUse    int
	used     time.Time
	metadata atomic.Pointer[metadata] // nil before the first survey
	force    force

	astray atomic.Pointer[astray] // nil until a search for the writer has failed
}

// Admin is an administrator's session: one connection with fixed settings. It must be used by one
// goroutine at a time.
type Admin struct {
	// Force makes this session end another one that holds the lock on an account it needs, rather
	// than wait, unless the other one is logged in as the same user.
	Force bool

	conn     *sql.Conn
	pool     *pool
	home     *pool // the pool for the address that the session was opened for; pool may be for one node of its cluster
	release  func()
	placed   bool        // the session has one of the pool's places, which release returns
	name     grants.Name // CURRENT_USER()
	roles    []grants.Name
	server   grants.Server
	dialer   *Dialer
	locks    []string // the user names whose locks the session holds
	patience time.Duration
	freshness

	elsewhere string // why accounts are not changed on the cluster's writer, or ""
}

// Admin opens an administrator's session, or reuses one that was closed a moment ago. The session
// must be closed.
func (d *Dialer) Admin(ctx context.Context, ep Endpoint, user, password string) (*Admin, error) {
	p, release, err := d.pool(ep, user, password, "")
	if err != nil {
		return nil, fmt.Errorf("log in as administrator %s on %s: %w", grants.QuoteUser(user), ep, err)
	}
	a := &Admin{pool: p, home: p, release: release, dialer: d, patience: lockPatience}
	if err := a.connect(ctx); err != nil {
		a.release()
		return nil, fmt.Errorf("log in as administrator %s on %s: %w", grants.QuoteUser(user), ep, cause(ctx, err))
	}
	if err := a.enterServer(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("administrator %s on %s: %w", grants.QuoteUser(user), ep, err)
	}
	return a, nil
}

// Close returns the connection to the pool. The session must not be used afterwards.
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
	ep.Database = "" // an administrator needs none, and may lack access to the application's
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
		p = &pool{db: db, places: make(chan struct{}, poolSize), at: ep, login: c}
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

// Close closes all kept connections. Sessions that are still open end with their own Close.
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

// cause adds the reason why the context ended, because the driver reports only a bad connection.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
