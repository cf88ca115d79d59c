package activities

import (
	"cmp"
	"context"
	"fmt"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/address"
	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// A master secret that RDS manages contains only a user name and a password. Its server is never
// taken from the user's secret: someone who can edit that secret could name another server, and the
// administrator would log in to it. Over TLS, a client sends its password in clear to a server that
// asks for it. So the server comes from the workflow's input, or from the tags of the master
// secret, which only AWS can set.

// locate returns a master secret with the server that it is for.
type locate func(context.Context, secret.Version) (secret.Version, error)

// given locates a master by the workflow's input, if that names a server, and otherwise by the tags
// of its secret. known is the host:port that the workflow knows from an earlier rotation, for a
// secret without tags. It may be empty.
func (a *Activities) given(s rotation.MasterServer, known string) locate {
	return func(ctx context.Context, m secret.Version) (secret.Version, error) {
		switch named := s.MasterHost != ""; {
		case named && m.Host == "":
			m.Engine, m.Host, m.Port = s.MasterEngine, s.MasterHost, s.MasterPort
			return m, nil
		case named:
			if want := (secret.Credential{Host: s.MasterHost, Port: s.MasterPort}); !m.SameServer(want) {
				return m, refuse(rotation.ErrorOtherServer, "MasterHost and MasterPort are %s, but master secret %s is for %s: "+
					"leave them out, or name the same server",
					want.Address(), m.Name, m.Address())
			}
			return m, nil
		case m.Host != "":
			return m, nil
		}
		return a.tagged(ctx, m, known)
	}
}

// tagged locates a master by the tags of its secret.
func (a *Activities) tagged(ctx context.Context, m secret.Version, known string) (secret.Version, error) {
	d, err := a.Secrets.Describe(ctx, m.ARN)
	if err != nil {
		return m, fmt.Errorf("find the server of master secret %s by its tags: %w", m.Name, err)
	}
	database, found := rds.FromTags(d.Tags)
	switch {
	case !found && known != "":
		return at(known)(ctx, m)
	case !found:
		return m, refuse(rotation.ErrorNoMasterServer, "master secret %s does not name a server, and has no RDS tags that lead to one:"+
			" give the workflow MasterHost, MasterPort and MasterEngine, or put engine, host and port into the secret", m.Name)
	case a.Databases == nil:
		return m, refuse(rotation.ErrorNoMasterServer, "master secret %s is for %s, and this worker cannot query RDS:"+
			" give the workflow MasterHost, MasterPort and MasterEngine", m.Name, database.ARN)
	}
	server, err := a.Databases.Server(ctx, database)
	if err != nil {
		return m, fmt.Errorf("find the server of master secret %s: %w", m.Name, err)
	}
	m.Engine, m.Host, m.Port = server.Engine, server.Host, server.Port
	return m, nil
}

// at locates a master at the server that CloneUser found, so that later steps need not search for
// it.
func at(server string) locate {
	return func(_ context.Context, m secret.Version) (secret.Version, error) {
		if m.Host != "" {
			return m, nil
		}
		host, port, err := address.Parse(server)
		if err != nil {
			return m, fmt.Errorf("server of master secret %s: %w", m.Name, err)
		}
		m.Host, m.Port = host, port
		return m, nil
	}
}

// master reads the master secret, which the input or the user's secret names, and compares it with
// the user's secret. The administrator logs in on the master secret's server, whatever host the
// user's secret names.
func (a *Activities) master(ctx context.Context, given string, read readMaster, where locate, user secret.Version) (secret.Version, error) {
	id := cmp.Or(given, user.MasterARN)
	if id == "" {
		return secret.Version{}, refuse(rotation.ErrorNoMaster,
			"no master secret is given for secret %s: set MasterSecretId, or add \"masterarn\" to the secret", user.Name)
	}
	m, err := read(ctx, id)
	if err != nil {
		return secret.Version{}, err
	}
	switch {
	case m.ARN == user.ARN:
		return secret.Version{}, refuse(rotation.ErrorNoMaster,
			"secret %s cannot be its own master secret: set MasterSecretId to the secret of an administrator", user.Name)
	case given != "" && user.MasterARN != "" && !m.Is(user.MasterARN):
		return secret.Version{}, refuse(rotation.ErrorNoMaster,
			"MasterSecretId is %s, but \"masterarn\" of secret %s names %s: set only one of them, or make them name the same secret", given,
			user.Name, user.MasterARN)
	case m.TLS && !user.TLS:
		return secret.Version{}, refuse(rotation.ErrorTLS,
			"secret %s has \"ssl\": false, but its master secret %s does not: remove it from the secret, or add it to the master secret;"+
				" without TLS a login does not prove which server answers", user.Name, m.Name)
	}
	return where(ctx, m)
}

// readMaster returns the current version of a master secret.
type readMaster func(ctx context.Context, id string) (secret.Version, error)

// likelyMaster begins to read the master secret that a rotation will probably use. The function that it returns waits for that, or
// reads another one. So a rotation does not wait for its own secret to name the master secret that the last one used.
func (a *Activities) likelyMaster(ctx context.Context, id string) readMaster {
	if id == "" {
		return a.currentMaster
	}
	var m secret.Version
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer panics.Into(&err)
		m, err = a.currentMaster(ctx, id)
	}()
	return func(ctx context.Context, needed string) (secret.Version, error) {
		if needed != id {
			return a.currentMaster(ctx, needed)
		}
		<-done
		return m, err
	}
}

// currentMaster reads a master secret that the worker may use.
func (a *Activities) currentMaster(ctx context.Context, id string) (secret.Version, error) {
	r, err := redactorOf(ctx)
	if err != nil {
		return secret.Version{}, err
	}
	m, err := a.Secrets.Master(ctx, id)
	r.remember(m.Password)
	if err != nil {
		return secret.Version{}, fmt.Errorf("master secret: %w", err)
	}
	return m, a.permit(m)
}

// masterVersion reads the version of the master secret with which the rotation began.
func (a *Activities) masterVersion(ctx context.Context, in rotation.StepInput) (secret.Version, error) {
	r, err := redactorOf(ctx)
	if err != nil {
		return secret.Version{}, err
	}
	m, err := a.Secrets.MasterVersion(ctx, in.MasterSecretID, in.MasterVersionID)
	r.remember(m.Password)
	if err != nil {
		return secret.Version{}, fmt.Errorf("master secret: %w", err)
	}
	if err := a.permit(m); err != nil {
		return secret.Version{}, err
	}
	return at(in.Server)(ctx, m)
}

// administer opens an administrator's session on the server of a rotation.
func (a *Activities) administer(ctx context.Context, r rotation.StepInput) (*account.Admin, error) {
	m, err := a.masterVersion(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.admin(ctx, m)
}

// adminOf opens a session as the administrator that a master secret names now.
func (a *Activities) adminOf(ctx context.Context, masterID string, where locate) (*account.Admin, secret.Version, error) {
	m, err := a.currentMaster(ctx, masterID)
	if err != nil {
		return nil, secret.Version{}, err
	}
	if m, err = where(ctx, m); err != nil {
		return nil, secret.Version{}, err
	}
	admin, err := a.admin(ctx, m)
	return admin, m, err
}

// admin logs in with a master secret. If the server refuses the credential, admin reads the secret
// again: RDS rotates its masters in place, so a version that was read a moment ago may no longer
// work.
func (a *Activities) admin(ctx context.Context, m secret.Version) (*account.Admin, error) {
	admin, err := a.adminBy(ctx, m)
	if !accessDenied(err) {
		return admin, err
	}
	newer, readErr := a.currentMaster(ctx, m.ARN)
	a.Secrets.Forget(m.ARN)
	if readErr != nil || newer.ID == m.ID {
		return nil, refusedMaster(m, err)
	}
	if newer.Host == "" {
		newer.Engine, newer.Host, newer.Port = m.Engine, m.Host, m.Port
	}
	if !newer.SameServer(m.Credential) { // the accounts are where the first one is
		return nil, err
	}
	admin, err = a.adminBy(ctx, newer)
	if accessDenied(err) {
		err = refusedMaster(newer, err)
	}
	return admin, err
}

func (a *Activities) adminBy(ctx context.Context, m secret.Version) (*account.Admin, error) {
	admin, err := a.Accounts.Admin(ctx, endpoint(m.Credential, ""), m.Username, m.Password)
	if err != nil {
		return nil, fmt.Errorf("master secret %s: %w", m.Name, err)
	}
	return admin, nil
}

// accessDenied reports whether a server rejected a user name and password.
func accessDenied(err error) bool {
	return isServerError(err, erAccessDenied)
}

// masterRefusedError reports that a server refused an administrator whose secret RDS manages. RDS
// changes the password in the database before it changes the secret, so the next attempt may
// succeed.
type masterRefusedError struct {
	name string
	err  error
}

func (e *masterRefusedError) Error() string {
	return fmt.Sprintf("%v; RDS may be rotating master secret %s at this moment", e.err, e.name)
}

func (e *masterRefusedError) Unwrap() error { return e.err }

func refusedMaster(m secret.Version, err error) error {
	if m.NamesNoServer() {
		return &masterRefusedError{m.Name, err}
	}
	return err
}

// judgeLocation is the verdict on an error of RDS.
func judgeLocation(e *rds.ServerError) verdict {
	v := judge(e.Err)
	switch {
	case e.Advice == "" && v.kind == rotation.ErrorUnknown:
		return verdict{kind: rotation.ErrorUnreachable, retry: true} // such as a database that is being created
	case e.Advice == "":
		return v
	case v.kind == rotation.ErrorAccessDenied:
		return verdict{kind: rotation.ErrorAccessDenied, advice: e.Advice}
	}
	return verdict{kind: rotation.ErrorNoMasterServer, advice: e.Advice}
}
