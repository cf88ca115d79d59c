package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// A lock belongs to one node, and simultaneous statements for one account on two nodes may leave
// the nodes with different accounts. So all administrators' sessions on a cluster use the same
// node: the primary of a group; with several primaries, and in a Galera cluster, the node with the
// lowest id. An address may lead to several nodes in turn.

// writer is the node on which accounts are changed.
type writer struct {
	listedNode

	id   string // empty if unknown
	size int    // number of nodes in the cluster
}

// findWriter returns the id of the session's own node, and the writer. The writer is empty if the
// server is not in a cluster, or its administrator may not list the nodes.
func (a *Admin) findWriter(ctx context.Context) (here string, w writer, err error) {
	worn := a.unusable
	rows, err := a.query(ctx, a.server.NodesQuery())
	if e := serverError(err); e != nil && slices.Contains([]uint16{errTableDenied, errNoSuchTable, errUnknownTable, errNoSuchColumn},
		e.Number) {
		a.unusable = worn // this right is optional
		if a.server.Grouped() && e.Number == errTableDenied {
			a.elsewhere = fmt.Sprintf("it is unknown which members the group at %s has, and which one changes accounts:"+
				" GRANT SELECT ON performance_schema.replication_group_members TO the administrator %s", a.home.at, grants.QuoteUser(a.home.login.User))
		}
		return "", writer{}, nil
	}
	for _, r := range rows {
		here, w.size = r.Text("me"), w.size+1
		if w.id == "" && r.Text("writes") == "1" {
			w.id, w.listedNode = r.Text("id"), listedNode{r.Text("name"), r.Text("address")}
		}
	}
	return here, w, err
}

// astray records that an address does not lead to the writer.
type astray struct {
	writer string // the writer's id
	only   string // the id of the only node that the address leads to; empty if there are several
	until  time.Time
}

// toWriter moves the session to the writer if the session's address leads to several nodes. If the
// address leads to only one node, that node is used.
func (a *Admin) toWriter(ctx context.Context) error {
	a.elsewhere = ""
	if !a.server.Clustered() {
		return nil
	}
	here, w, err := a.findWriter(ctx)
	if err != nil || w.id == "" || w.id == here {
		return err
	}
	if s := a.home.astray.Load(); s != nil && s.writer == w.id && time.Now().Before(s.until) && (s.only == "" || s.only == here) {
		if s.only == "" {
			a.warnElsewhere(w)
		}
		return nil
	}
	found, only, err := a.searchWriter(ctx, here, w)
	if err != nil || found {
		return err
	}
	a.home.astray.Store(&astray{w.id, only, time.Now().Add(knownFor)})
	if only == "" {
		a.warnElsewhere(w)
	}
	return nil
}

func (a *Admin) warnElsewhere(w writer) {
	a.elsewhere = fmt.Sprintf("the address %s leads to several nodes of a cluster, but not to %s, "+
		"the one on which all rotators change accounts:"+
		" only the secret's labels keep two simultaneous rotators apart; make the address lead to one node, or to all", a.home.at, w.name)
}

// searchWriter opens connections to the session's address until one leads to the writer, and then
// one to the writer's own address. If the address leads to only one node, it gives up early and
// returns that node's id as only.
func (a *Admin) searchWriter(ctx context.Context, here string, w writer) (found bool, only string, err error) {
	several, failed := false, 0
	for i := range manyConnections * w.size {
		if i >= fewConnections*w.size && !several || failed > w.size {
			break
		}
		met, err := a.moveTo(ctx, a.home.at, w)
		if err != nil || met == w.id {
			return met == w.id, "", err
		}
		if met == "" {
			failed++
		}
		several = several || met != "" && met != here
	}
	if !several {
		return false, here, nil
	}
	at, ok := w.endpoint(a.home.at)
	if !ok {
		return false, "", nil
	}
	met, err := a.moveTo(ctx, at, w)
	return met == w.id, "", err
}

// endpoint returns where a node says that it listens, if it does. Missing parts are as in at, the
// address that leads to it. Without TLS, nothing proves who said so, or who answers there.
func (n listedNode) endpoint(at Endpoint) (Endpoint, bool) {
	if !at.TLS {
		return Endpoint{}, false
	}
	host, port, err := net.SplitHostPort(n.address)
	if err != nil {
		host, port = n.address, strconv.Itoa(at.Port)
	}
	if host == "" || host == "AUTO" {
		return Endpoint{}, false
	}
	at.Host = host
	at.Port, err = strconv.Atoi(port)
	return at, err == nil
}

// moveTo opens a connection, and moves the session to it if it leads to the writer. It returns the
// id of the node that the connection leads to, or "" if the connection failed.
func (a *Admin) moveTo(ctx context.Context, at Endpoint, w writer) (met string, err error) {
	p, release, err := a.dialer.pool(at, a.home.login.User, a.home.login.Passwd, w.id)
	if err != nil {
		return "", err
	}
	other := &Admin{pool: p, release: release, dialer: a.dialer}
	if err := other.connect(ctx); err != nil {
		other.release()
		return "", context.Cause(ctx) // the next one may lead to a node that is up
	}
	if err := other.conn.QueryRowContext(ctx, a.server.NodeIDQuery()).Scan(&met); err != nil || met != w.id {
		other.discard()
		return met, errors.Join(other.Close(), context.Cause(ctx))
	}
	if err := a.Close(); err != nil {
		return met, errors.Join(err, other.Close())
	}
	a.conn, a.pool, a.release, a.freshness = other.conn, p, other.release, other.freshness
	a.server, a.name, a.roles = grants.Server{}, grants.Name{}, nil
	return met, a.recognise(ctx)
}

// addElsewhere adds a warning if the session is not on the writer.
func (a *Admin) addElsewhere(p *grants.Plan) {
	if a.elsewhere != "" {
		p.Warnings = append(p.Warnings, a.elsewhere)
	}
}
