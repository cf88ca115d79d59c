package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Pair says whose rights are copied onto whom.
type Pair struct {
	// Source is the account in use. Without a host it is the only account of that user name.
	Source Name
	// Standby is the user name of the other account, which is on the source's host.
	Standby string
	// Owned says that there is evidence that an existing standby is the other half of this pair.
	Owned bool
	// Mark identifies who makes the standby: a standby that this package created with the mark is known by it, and one with
	// EarlierMark too. One that Revoke or Scramble took the password of is known by Mark.
	Mark, EarlierMark string
	// Password is what the secret says is the source's. It must be what the server stores, or no login is tried. Empty: any is.
	Password string
	// SourceStored is Stored.Digest of the source where that is known to be of Password, which then need not be compared.
	SourceStored string
	// Known reports whether what the server stores for an existing standby is a password of the secret's. nil: Owned says so.
	Known func(context.Context, Stored) (bool, error)
	// Force takes an Owned standby whose password is not Known, or that is locked by hand.
	Force bool
	// Digest is Plan.Digest of the last rotation, empty for none. With it Change.Drift is exact; without it, what the
	// standby has and the source has not counts as drift, and nothing else.
	Digest string
	// Base says that the standby has the name that people and their tools know the pair by: a right given to it since the last
	// rotation is given to both accounts, and one taken from it holds the rotation. It takes Digest, and Rights if there are
	// any, to know. UndoDrift and Revoke take the source for the reference in everything.
	Base, UndoDrift bool
	// Rights is Plan.Rights of the last rotation.
	Rights string
	// AsOf, where there is one, reports whether Digest and Rights are from the last rotation of the pair, by what the server stores
	// for the source: something else that has rotated it since has set another password.
	AsOf func(source Stored) bool
	// Revoke says that the source will be revoked after the rotation: the administrator must be able to end its sessions.
	Revoke bool
	// Plain says that clients log in without TLS.
	Plain bool
	// Next is when the next rotation is due: in a plan the one that it is of, in a rotation the one after it. Zero: not known.
	Next time.Time
	// Proof, where there is one, is called once both accounts are checked and before the first change. Its error is returned as it is.
	Proof func() error
	// Fence, where there is one, is called under the lock on both accounts, right before the first change, and stops it by an error.
	Fence func(context.Context) error
}

// Plan is what a synchronisation would do, or did.
type Plan struct {
	Source, Standby Name
	Create          bool     // the standby does not exist
	Changes         []Change // in the order of execution; empty for a standby in sync
	// Sessions are those logged in as the standby's user; where SessionsKnown is false the administrator may not look.
	Sessions      []Session
	SessionsKnown bool
	// EndSessions says that the standby's sessions must end along with its password, by ReplacePassword: they may be those of
	// who holds a credential that leaked.
	EndSessions   bool
	Warnings      []string        // what belongs to a name and cannot be copied, and what may surprise
	Expires       time.Time       // when the password in use expires: in a plan the source's, after a rotation the standby's; zero for never
	Digest        string          // SHA-256 of the source's properties and rights, for Pair.Digest
	Rights        string          // a digest of each of the rights that both will have, for Pair.Rights; empty for too many
	Policy        password.Policy // what the server asks of a password of the standby
	StandbyStored Stored          // of the standby, as last read; empty for none

	steps  []step
	powers *powers
	memory *memory // of the standby; nil for none
	meant  *meant  // nil if nothing of the standby is meant for both
}

// Plan makes every check that may refuse and computes what Sync would change. It writes nothing. A *Refusal is its error
// where Sync must not run.
func (a *Admin) Plan(ctx context.Context, p Pair) (plan *Plan, err error) {
	err = a.inForce(ctx, func() error {
		source, err := a.source(ctx, p)
		if err != nil {
			return err
		}
		if plan, err = a.proved(ctx, p, source); err != nil {
			return err
		}
		plan.expire(source.source, &a.server, plan.Source, source.source.changed, p.Next)
		plan.warnElsewhere(a)
		if err := a.warnRevoke(ctx, plan); err != nil {
			return err
		}
		if err := a.checkReplication(ctx, p, plan); err != nil {
			return err
		}
		if err := a.lookAround(ctx, plan, true); err != nil {
			return err
		}
		return a.endOld(ctx, p, source, plan)
	})
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// proved calls plan while the passwords of the pair are compared and the source's logs in. That one of these is refused says
// more than what the plan is refused for.
func (a *Admin) proved(ctx context.Context, p Pair, ps *pairState) (*Plan, error) {
	if _, err := a.check(p, ps); err != nil {
		return nil, err
	}
	wait := a.prove(ctx, p, ps)
	plan, err := a.plan(ctx, p, ps)
	if refused := wait(); refused != nil {
		return nil, refused
	}
	if err == nil && ps.foreign && plan.meant != nil && len(plan.meant.given) > 0 {
		return nil, plan.meant.undecided(fmt.Sprintf("%s was given a right, and also a password that is none of this secret's: %s",
			plan.Standby, someOf(plan.meant.given)), plan.meant.given)
	}
	return plan, err
}

// pairState is a pair as it was read.
type pairState struct {
	source, standby *state // standby is nil where it does not exist
	others          []*state
	memory          *memory // of the source; nil before it is read
	revoke, plain   bool    // Pair.Revoke, Pair.Plain
	foreign         bool    // the standby's password is none of the secret's, and Force takes it all the same
}

func (a *Admin) source(ctx context.Context, p Pair) (*pairState, error) {
	if err := a.checkWritable(ctx); err != nil {
		return nil, err
	}
	if err := a.survey(ctx); err != nil {
		return nil, err
	}
	users := []string{p.Source.User, p.Standby, a.name.User}
	for _, r := range a.roles {
		users = append(users, r.User)
	}
	states, err := a.read(ctx, users...)
	if err != nil {
		return nil, err
	}
	ps := &pairState{others: states}
	var hosts []string
	for _, s := range states {
		if s.name.User == p.Source.User && (p.Source.Host == "" && !s.role || s.name.same(p.Source)) {
			ps.source = s
			hosts = append(hosts, s.name.String())
		}
	}
	switch {
	case ps.source == nil:
		for _, s := range states {
			if s.name.User == p.Source.User && s.role {
				return nil, refuse(Role, "%s is a role: name an account that logs in", s.name)
			}
		}
		who := p.Source.String()
		if p.Source.Host == "" {
			who = quoteUser(p.Source.User)
		}
		return nil, refuse(NoSuchAccount, "there is no account %s on this server: correct the secret's username or host", who)
	case len(hosts) > 1:
		return nil, refuse(AmbiguousHost, "the user name %s exists on several hosts, %s, and an application may log in as any of them: keep one and drop the others",
			quoteUser(p.Source.User), strings.Join(hosts, ", "))
	}
	for _, s := range states {
		if s.name.same(Name{p.Standby, ps.source.name.Host}) {
			ps.standby = s
		}
	}
	return ps, nil
}

// plan checks and compares what was read.
func (a *Admin) plan(ctx context.Context, p Pair, ps *pairState) (*Plan, error) {
	plan := &Plan{
		Source:  ps.source.name,
		Standby: Name{p.Standby, ps.source.name.Host},
		Create:  ps.standby == nil,
		Digest:  ps.source.digest(),
	}
	ps.revoke, ps.plain = p.Revoke, p.Plain
	if p.AsOf != nil && !p.AsOf(ps.source.stored()) {
		p.Digest, p.Rights = "", ""
	}
	fresh, err := a.check(p, ps)
	if err != nil {
		return nil, err
	}
	if ps.standby != nil {
		plan.StandbyStored = ps.standby.stored()
	}
	if plan.Policy, err = a.PasswordPolicy(ctx, plan.Standby); err != nil {
		return nil, err
	}
	if plan.powers, err = a.powers(ctx, ps.others); err != nil {
		return nil, err
	}
	source, target := ps.source, ps.standby
	// A standby that is as the last rotation left it was not given anything since: the source has lost it.
	if target != nil && p.Digest != target.digest() {
		source, plan.steps = shared(source, target, plan.powers)
		plan.Digest = source.digest()
	}
	if target != nil && !fresh && p.Base && p.Owned && p.Digest != "" && !p.UndoDrift && !p.Revoke {
		plan.meant = meantFor(source, target, p.last(ps.source, target), plan.powers)
		if err := plan.meant.held(); err != nil {
			return nil, err
		}
		source = plan.meant.source
		plan.steps = append(plan.steps, plan.meant.steps...)
		plan.Digest = source.digest()
	}
	plan.Rights = source.rightsDigest()
	if target == nil {
		uses, err := a.checkLeftovers(ctx, plan.Standby)
		if err != nil {
			return nil, err
		}
		ps.source.uses = append(ps.source.uses, uses...)
		target = &state{name: plan.Standby, plugin: ps.source.plugin, properties: ps.source.properties, rights: map[right]bool{}}
		st, err := a.create(target, p.Mark, ps.source)
		if err != nil {
			return nil, err
		}
		plan.steps = append(plan.steps, st)
	} else if plan.memory, err = a.remembered(ctx, plan.Standby); err != nil {
		return nil, err
	}
	if ps.memory == nil {
		if ps.memory, err = a.remembered(ctx, plan.Source); err != nil {
			return nil, err
		}
	}
	if err := checkMemory(ps.source, ps.memory, target, plan.memory, a.server.mariadb); err != nil {
		return nil, err
	}
	plan.steps = append(plan.steps, difference(source, target, plan.memory, plan.powers)...)
	if err := a.checkRoles(ctx, ps, plan); err != nil { // before the powers: nobody has any on a role that is gone
		return nil, err
	}
	if err := a.checkPowers(ctx, plan.powers, ps, plan.steps); err != nil {
		return nil, err
	}
	if err := a.checkObjects(ctx, ps, plan); err != nil {
		return nil, err
	}
	if target.plugin != ps.source.plugin {
		plan.steps = append(plan.steps, step{Change: Change{
			Text: fmt.Sprintf("the next password of %s is for %s instead of %s", plan.Standby, ps.source.plugin, target.plugin),
		}})
	}
	if !plan.Create && !fresh {
		markDrift(plan.steps, p.Digest, ps.source.digest(), ps)
	}
	for _, st := range plan.steps {
		plan.Changes = append(plan.Changes, st.Change)
	}
	if p.Base && p.Digest == "" && !plan.Create && !fresh && slices.ContainsFunc(plan.steps, step.ofRights) {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("what rights the pair had after the last rotation is not known, so %s is made equal to %s, which is in use:"+
			" if %s was granted something for both, grant it to %s too", plan.Standby, plan.Source, plan.Standby, plan.Source))
	}
	plan.warn(ps, &a.server)
	return plan, nil
}

// markDrift tells changes of the standby from those of the source by what both were after the last rotation.
func markDrift(steps []step, last, source string, ps *pairState) {
	for i := range steps {
		if steps[i].shared {
			continue
		}
		switch last {
		case "":
			steps[i].Drift = strings.HasPrefix(steps[i].Statement, "REVOKE") && !strings.HasPrefix(steps[i].Text, "restrict")
		case source:
			steps[i].Drift = true
		case ps.standby.digest():
			steps[i].Drift = false
		default: // both were changed, and which change is whose is not known: none is kept quiet
			steps[i].Drift = true
		}
	}
}

// ownAccounts are kept by servers and clouds for themselves.
func ownAccount(user string) bool {
	switch user {
	case "", "root", "mysql", "mariadb.sys":
		return true
	}
	return strings.HasPrefix(user, "mysql.") || strings.HasPrefix(user, "rds")
}

func (a *Admin) checkWritable(ctx context.Context) error {
	for _, v := range []string{"innodb_read_only", "super_read_only", "read_only"} {
		if a.server.on(v) {
			a.worn = true
			return refuse(ReadOnly, "the server %s has %s on, it is a replica or a reader endpoint: accounts change on the writer only, so the secret's host must name that%s",
				a.server.variables["hostname"], v, a.writer(ctx))
		}
	}
	return nil
}

// check refuses what must not be rotated. fresh says that the standby is known by its mark to be new.
func (a *Admin) check(p Pair, ps *pairState) (fresh bool, err error) {
	source, standby, other := ps.source, ps.standby, Name{p.Standby, ps.source.name.Host}
	if err := a.checkChangeable(source.name); err != nil {
		return false, err
	}
	if err := a.checkChangeable(other); err != nil {
		return false, err
	}
	switch {
	case other.same(source.name):
		return false, refuse(AmbiguousPair, "%s cannot be its own clone: name another", source.name)
	case source.role:
		return false, refuse(Role, "%s is a role: name an account that logs in", source.name)
	case source.several:
		return false, refuse(NoPassword, "%s logs in by several ways or factors: only accounts with one password can be rotated", source.name)
	case source.locked:
		return false, refuse(Locked, "%s is locked: ALTER USER %s ACCOUNT UNLOCK, if it is to be rotated", source.name, source.name)
	case source.expired:
		return false, refuse(Expired, "the password of %s is expired: set a new one and store it in the secret", source.name)
	}
	fresh = a.bearsMark(p, standby)
	if _, err := password.Unmatchable(source.plugin, "probe"); err != nil {
		return false, a.refusePlugin(source)
	}
	if source.certificate && len(a.dialer.certificates()) == 0 {
		return false, refuse(CertificateAsked, "%s has REQUIRE %s: configure a client certificate, or nobody can prove that its clone logs in",
			source.name, source.properties["REQUIRE"])
	}
	if len(source.unknown) > 0 {
		return false, refuse(Unknown, "%s has what this version cannot copy: %s", source.name, strings.Join(source.unknown, "; "))
	}
	limit := a.server.columns[a.server.accounts()]["user"].length
	if n := utf8.RuneCountInString(p.Standby); limit > 0 && n > limit {
		return false, refuse(NameTooLong, "the clone's name %s has %d characters and this server allows %d: stop the rotation, if one runs, and start it with a shorter CloneUsername (--clone-username)",
			quoteUser(p.Standby), n, limit)
	}
	if strings.HasSuffix(source.name.User, "_clone") && !p.Owned && p.Known == nil && !fresh {
		return false, refuse(AmbiguousPair, "the name of %s ends in _clone and nothing says which account is its other half: give CloneUsername", source.name)
	}
	for _, s := range ps.others {
		if s.name.User == p.Standby && !s.role && !s.name.same(other) {
			return false, refuse(OtherHost, "there is an account %s besides %s, which would win some of its logins: drop it or choose another CloneUsername",
				s.name, other)
		}
	}
	for r := range source.rights {
		if r.kind == role && other.same(Name{r.a, r.b}) {
			return false, refuse(Role, "%s has been granted %s as a role: REVOKE %s FROM %s, as an account cannot be its own role",
				source.name, other, other, source.name)
		}
	}
	if standby == nil {
		return false, nil
	}
	switch {
	case standby.role:
		return false, refuse(Role, "%s is a role: choose another CloneUsername", standby.name)
	case standby.several:
		return false, refuse(NoPassword, "%s logs in by several ways or factors: remove all but the password", standby.name)
	case len(standby.unknown) > 0:
		return false, refuse(Unknown, "%s has what this version cannot compare: %s", standby.name, strings.Join(standby.unknown, "; "))
	}
	for name := range source.properties {
		if _, ok := standby.properties[name]; !ok {
			return false, fmt.Errorf("account %s was read without %s", standby.name, name)
		}
	}
	return fresh, nil
}

// refusePlugin refuses an account that logs in by something else than a password of which a hash can be made.
func (a *Admin) refusePlugin(s *state) error {
	if s.plugin == "parsec" {
		return refuse(NoPassword, "%s logs in by parsec, which of all clients only MariaDB Connector/J 3.5, npm mariadb and MariaDB's own client 11.8 know."+
			" The worker's driver does not, so it could prove no password: run ALTER USER %s IDENTIFIED VIA ed25519 USING PASSWORD('…'),"+
			" or VIA mysql_native_password for clients without ed25519, and store that password in the secret", s.name, s.name)
	}
	clause := "IDENTIFIED WITH " + password.CachingSHA2 + " BY '…'"
	if a.server.mariadb {
		clause = "IDENTIFIED VIA ed25519 USING PASSWORD('…'), or VIA mysql_native_password"
	} else if a.usualPlugin() == password.Native {
		clause = "IDENTIFIED WITH " + password.Native + " BY '…'"
	}
	return refuse(NoPassword, "%s logs in by %s, which is not a password that can be rotated: run ALTER USER %s %s, and store that password in the secret",
		s.name, s.plugin, s.name, clause)
}

// checkChangeable refuses accounts that are never changed.
func (a *Admin) checkChangeable(n Name) error {
	if ownAccount(n.User) {
		return refuse(ServerAccount, "%s is an account of the server's own: it is never changed", n)
	}
	if n.same(a.name) {
		return refuse(Administrator, "%s is the administrator himself: name another account, or another administrator", n)
	}
	return nil
}

// checkPowers refuses what the administrator may not do, all of it at once.
func (a *Admin) checkPowers(ctx context.Context, p *powers, ps *pairState, steps []step) error {
	lacking := append(p.lackingToChange(ps.source, ps.standby), p.lacking(ps.source, steps)...)
	if !p.dynamic(systemUser) {
		roles, err := a.systemRoles(ctx, steps)
		if err != nil {
			return err
		}
		for _, r := range roles {
			lacking = append(lacking, fmt.Sprintf("SYSTEM_USER, as %s has it", r))
		}
	}
	if ps.revoke {
		more, err := a.lackingToEnd(ctx, p)
		if err != nil {
			return err
		}
		lacking = append(lacking, more...)
	}
	if len(lacking) > 0 {
		what := "making the clone of " + ps.source.name.String()
		if ps.revoke {
			what += " and revoking it"
		}
		return refuse(MissingRight, "administrator %s lacks what %s takes: %s", a.name, what, strings.Join(lacking, "; "))
	}
	return nil
}

// systemRoles lists the roles in the steps that have SYSTEM_USER: an administrator without it can pass none of them on.
func (a *Admin) systemRoles(ctx context.Context, steps []step) ([]right, error) {
	var roles []right
	var users []string
	for _, st := range steps {
		for _, r := range st.needs {
			if r.kind == role {
				roles, users = append(roles, r), append(users, r.a)
			}
		}
	}
	if roles == nil || !a.server.hasTable("global_grants") {
		return nil, nil
	}
	rows, err := a.query(ctx, "SELECT USER, HOST FROM mysql.global_grants WHERE PRIV = '"+systemUser+"' AND USER IN "+quoteValues(users))
	if err != nil {
		return nil, fmt.Errorf("read the roles' rights: %w", err)
	}
	var system []right
	for _, r := range roles {
		for _, have := range rows {
			if r.a == have.text("user") && strings.EqualFold(r.b, have.text("host")) {
				system = append(system, r)
			}
		}
	}
	return system, nil
}

// checkRoles refuses a default role that no longer exists, as MariaDB keeps it.
func (a *Admin) checkRoles(ctx context.Context, ps *pairState, plan *Plan) error {
	if !a.server.mariadb {
		return nil
	}
	var roles []right
	for _, st := range plan.steps {
		for _, r := range st.needs {
			if _, stays := ps.source.rights[r]; r.kind == defaultRole && stays {
				roles = append(roles, r)
			}
		}
	}
	return a.checkExist(ctx, ps, roles, "mysql.global_priv", "User", "Host", "''")
}

// checkObjects refuses rights on columns and routines that no longer exist: no statement grants them.
func (a *Admin) checkObjects(ctx context.Context, ps *pairState, plan *Plan) error {
	var tables, columns, routines, libraries []right
	for _, st := range plan.steps {
		if !strings.HasPrefix(st.Statement, "GRANT") {
			continue
		}
		if st.shared && st.gone != nil && st.gone.revoke != "" { // which would take CREATE from the account in use again
			tables = append(tables, right{kind: table, privilege: st.needs[0].privilege, a: st.needs[0].a, b: st.needs[0].b})
		}
		for _, r := range st.needs {
			switch {
			case r.kind == columnOf:
				columns = append(columns, r)
			case r.kind == routine && r.c == "LIBRARY":
				libraries = append(libraries, r)
			case r.kind == routine:
				routines = append(routines, r)
			}
		}
	}
	if err := a.checkExist(ctx, ps, tables, "information_schema.TABLES", "TABLE_SCHEMA", "TABLE_NAME", "''"); err != nil {
		return err
	}
	if err := a.checkExist(ctx, ps, columns, "information_schema.COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME"); err != nil {
		return err
	}
	if err := a.checkExist(ctx, ps, libraries, "information_schema.LIBRARIES", "LIBRARY_SCHEMA", "LIBRARY_NAME", "'LIBRARY'"); err != nil {
		return err
	}
	return a.checkExist(ctx, ps, routines, "information_schema.ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_TYPE")
}

func (a *Admin) checkExist(ctx context.Context, ps *pairState, rights []right, view, x, y, z string) error {
	if len(rights) == 0 {
		return nil
	}
	var schemas []string
	for _, r := range rights {
		schemas = append(schemas, r.a)
	}
	rows, err := a.query(ctx, "SELECT "+x+" AS a, "+y+" AS b, "+z+" AS c FROM "+view+" WHERE "+x+" IN "+quoteValues(schemas))
	if err != nil {
		return fmt.Errorf("read %s: %w", view, err)
	}
	exist := map[[3]string]bool{}
	key := func(a, b, c string) [3]string {
		return [3]string{strings.ToLower(a), strings.ToLower(b), strings.ToLower(c)}
	}
	for _, r := range rows {
		exist[key(r.text("a"), r.text("b"), r.text("c"))] = true
	}
	for _, r := range rights {
		if !exist[key(r.a, r.b, r.c)] {
			holder := ps.source
			if _, ok := holder.rights[r]; !ok && ps.standby != nil {
				holder = ps.standby
			}
			return refuse(ObjectGone, "%s holds %s, which no longer exists or which the administrator cannot see: REVOKE that right from it",
				holder.name, r)
		}
	}
	return nil
}

// warn adds what belongs to the source's name, or acts on both accounts alike, and is no part of the comparison.
func (plan *Plan) warn(ps *pairState, server *server) {
	if had, ok := password.StorageOf(ps.source.plugin, ps.source.hash); ok && server.variables[storageFormat] != "" && had.PBKDF2 != server.pbkdf2() {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the password of %s is not stored in the format that this server now asks for (%s = %s):"+
			" caching_sha2_password_enforce_storage_format = ON would refuse every statement of the account with error 1820, so rotate twice before you set it",
			plan.Source, storageFormat, server.variables[storageFormat]))
	}
	slices.Sort(ps.source.uses)
	for _, use := range ps.source.uses {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s, and %s is not the same to it", use, plan.Standby))
	}
	plan.warnBlocks(ps, server)
	if ps.plain && ps.source.plugin == password.CachingSHA2 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("the secret says \"ssl\": false, and %s refuses a login without TLS until someone has logged in as the account with TLS or the server's key:"+
			" on a replica after each rotation, here after FLUSH PRIVILEGES or a restart. Clients that do not ask for the key (MariaDB Connector/J, npm mariadb, libmysqlclient)"+
			" then get S1009, 45044 or 2061: use TLS, or have them ask for it (allowPublicKeyRetrieval, --get-server-public-key)", ps.source.plugin))
	}
}

// revoked says that Revoke locked an account of the pair, so that its lock is no wish of somebody else's: its hash tells.
// The mark of earlier releases names no secret, and is taken for an account only that is known to be of the pair.
func (a *Admin) revoked(p Pair, s *state) bool {
	return password.IsUnmatchable(s.plugin, s.hash, revokedMark(p.Mark)) ||
		p.Owned && password.IsUnmatchable(s.plugin, s.hash, revokedMark(s.name.String()))
}

func revokedMark(mark string) string { return "revoked " + mark }
