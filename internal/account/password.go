package account

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/internal/password"
)

// create is the step that makes an account, locked, with a password that nobody knows: its hash is made from the mark,
// and shows later who made the account. The properties are there from the first moment. like, which may be nil, is the
// other account of the pair.
func (a *Admin) create(s *state, mark string, like *state) (step, error) {
	hash, err := a.unmatchable(s.plugin, mark, like)
	if err != nil {
		return step{}, fmt.Errorf("mark for %s: %w", s.name, err)
	}
	set := map[string]string{}
	for clause, value := range s.properties {
		if standardValues[clause] != value {
			set[clause] = value
		}
	}
	attribute, ok := set["ATTRIBUTE"]
	delete(set, "ATTRIBUTE")
	tail := spell(set) + " ACCOUNT LOCK"
	if ok { // its place is the last
		tail += spell(map[string]string{"ATTRIBUTE": attribute})
	}
	text := "create " + s.name.String() + ", locked"
	if like != nil {
		text += ", like " + like.name.String()
	}
	if words := strings.TrimSpace(spell(set)); words != "" {
		text += ": " + words
	}
	return step{
		Change: Change{Text: text, Statement: "CREATE USER " + s.name.String() + a.identified(s.plugin, "") + tail},
		hashed: "CREATE USER " + s.name.String() + a.identified(s.plugin, hash) + tail,
	}, nil
}

// standardValues are what CREATE USER sets by itself.
var standardValues = map[string]string{
	"REQUIRE": "NONE", "MAX_QUERIES_PER_HOUR": "0", "MAX_UPDATES_PER_HOUR": "0", "MAX_CONNECTIONS_PER_HOUR": "0",
	"MAX_USER_CONNECTIONS": "0", "MAX_STATEMENT_TIME": "0", "PASSWORD EXPIRE": "DEFAULT", "PASSWORD HISTORY": "DEFAULT",
	"PASSWORD REUSE INTERVAL": "DEFAULT", "PASSWORD REQUIRE CURRENT": "DEFAULT",
	"FAILED_LOGIN_ATTEMPTS": "0 PASSWORD_LOCK_TIME 0", "ATTRIBUTE": "{}",
}

// identified is the clause that sets a hash. Without the plugin's name the server's default would replace it. For an
// empty hash the clause is for reading only.
func (a *Admin) identified(plugin, hash string) string {
	verb, as := " IDENTIFIED WITH ", " AS "
	if a.server.mariadb {
		verb, as = " IDENTIFIED VIA ", " USING "
	}
	if hash == "" {
		return verb + quoteIdentifier(plugin)
	}
	return verb + quoteIdentifier(plugin) + as + quoteLiteral(hash)
}

// usualPlugin is what an account logs in by unless it was told otherwise.
func (a *Admin) usualPlugin() string {
	if _, ok := a.server.columns["user"]["user_attributes"]; a.server.mariadb || !ok {
		return password.Native
	}
	return password.CachingSHA2
}

// storage is how a new hash is stored that takes the place of those of the accounts, each of which may be nil: as the
// server would store it, with no fewer rounds than they have.
func (a *Admin) storage(instead ...*state) password.Storage {
	s := password.Storage{PBKDF2: a.server.pbkdf2()}
	s.Rounds, _ = strconv.Atoi(a.server.variables["caching_sha2_password_digest_rounds"]) // a number setting, or absent
	for _, have := range instead {
		if have == nil {
			continue
		}
		if had, ok := password.StorageOf(have.plugin, have.hash); ok {
			s.Rounds = max(s.Rounds, had.Rounds)
		}
	}
	return s
}

// unmatchable is the hash that nothing but the mark tells, stored as that of the accounts is; see storage.
func (a *Admin) unmatchable(plugin, mark string, instead ...*state) (string, error) {
	hash, err := a.storage(instead...).Unmatchable(plugin, mark)
	return string(hash), err
}

// SetPassword gives the account n a new password for the authentication plugin of the account like, which may be n
// itself, discards a second password and unlocks the account. The server gets a hash. The session that alters holds the lock
// on both accounts; fence, which may be nil, is called right before the change with what is stored for n until then, and stops it by an error.
func (a *Admin) SetPassword(ctx context.Context, n, like Name, pw string, fence func(context.Context, Stored) error) (Stored, error) {
	set, _, err := a.setPassword(ctx, n, like, pw, false, fence)
	return set, err
}

// ReplacePassword is SetPassword for an account whose sessions must not outlive its password. If it is locked they end before
// it is unlocked, and what cannot be ended stops the change.
func (a *Admin) ReplacePassword(ctx context.Context, n, like Name, pw string, fence func(context.Context, Stored) error) (set Stored, ended Ended, err error) {
	err = a.inForce(ctx, func() error {
		set, ended, err = a.setPassword(ctx, n, like, pw, true, fence)
		return err
	})
	return set, ended, err
}

func (a *Admin) setPassword(ctx context.Context, n, like Name, pw string, end bool, fence func(context.Context, Stored) error) (set Stored, ended Ended, err error) {
	if err := a.checkWritable(ctx); err != nil {
		return Stored{}, Ended{}, err
	}
	// A hash takes as long as the round trips before it is needed; which one is needed is known only after them.
	likely, storage := a.usualPlugin(), a.storage()
	var hash []byte
	var hashErr error
	var hashing sync.WaitGroup
	hashing.Go(func() {
		defer panics.Into(&hashErr)
		hash, hashErr = storage.Hash(likely, pw)
	})
	defer hashing.Wait()
	err = a.locked(ctx, []string{n.User, like.User}, func(ctx context.Context) error {
		s, model, err := a.readPair(ctx, n, like)
		if err != nil {
			return err
		}
		hashing.Wait()
		if needed := a.storage(s, model); model.plugin != likely || needed != storage {
			hash, hashErr = needed.Hash(model.plugin, pw)
		}
		if errors.Is(hashErr, password.ErrUnsupportedPlugin) {
			return a.refusePlugin(model)
		} else if hashErr != nil {
			return fmt.Errorf("password of %s: %w", n, hashErr)
		}
		pass := func() error {
			if fence == nil {
				return nil
			}
			return fence(ctx, s.stored())
		}
		if err := pass(); err != nil {
			return err
		}
		if end && s.locked { // no session can come after these
			if ended, err = a.endSessions(ctx, n.User); err != nil {
				return fmt.Errorf("%s stays locked: %w", n, err)
			}
			if ended.Ended > 0 { // which may have taken long
				if err := pass(); err != nil {
					return err
				}
			}
		}
		set = Stored{Account: n, plugin: model.plugin, hash: string(hash)}
		if err := a.setHash(ctx, s, model.plugin, string(hash), " ACCOUNT UNLOCK"); err != nil || !end {
			return err
		}
		more, err := a.endSessions(ctx, n.User)
		ended.Ended, ended.Left = ended.Ended+more.Ended, more.Left
		if err != nil {
			return fmt.Errorf("the password of %s is set, but its sessions of before may go on: %w", n, err)
		}
		return nil
	})
	return set, ended, err
}

// setHash replaces the password. A second one, which survives every other statement, goes first.
func (a *Admin) setHash(ctx context.Context, s *state, plugin, hash, lock string) error {
	if s.second {
		if err := a.exec(ctx, "ALTER USER "+s.name.String()+" DISCARD OLD PASSWORD"); err != nil {
			return fmt.Errorf("discard the second password of %s: %w", s.name, err)
		}
	}
	if err := a.exec(ctx, "ALTER USER "+s.name.String()+a.identified(plugin, hash)+lock); err != nil {
		return fmt.Errorf("set the password of %s: %w", s.name, err)
	}
	return nil
}

// readPair reads two accounts without their rights, and checks that the first may be changed.
func (a *Admin) readPair(ctx context.Context, n, like Name) (s, model *state, err error) {
	if a.name == (Name{}) {
		if err := a.survey(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := a.checkChangeable(n); err != nil {
		return nil, nil, err
	}
	states, err := a.readAccounts(ctx, []string{n.User, like.User})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", n, a.deniedRead(ctx, err))
	}
	for _, have := range states {
		if have.name.same(n) {
			s = have
		}
		if have.name.same(like) {
			model = have
		}
	}
	return s, model, errors.Join(absent(s, n), absent(model, like))
}

// PasswordPolicy is what the server asks of a new password of the account. It cannot check a hash and so does not, but
// what its owner asks holds all the same. A *Refusal names a policy that cannot be met.
func (a *Admin) PasswordPolicy(ctx context.Context, n Name) (password.Policy, error) {
	if err := a.checkHashes(ctx); err != nil {
		return password.Policy{}, err
	}
	number := func(name string) int {
		if v, ok := a.server.variables["validate_password."+name]; ok {
			i, _ := strconv.Atoi(v) // a number setting
			return i
		}
		i, _ := strconv.Atoi(a.server.variables["validate_password_"+name])
		return i
	}
	var p password.Policy
	level, ok := a.server.variables["validate_password.policy"]
	if !ok {
		level, ok = a.server.variables["validate_password_policy"]
	}
	if ok {
		p.Length = number("length")
		if level != "LOW" && level != "0" {
			p.Lower, p.Upper = number("mixed_case_count"), number("mixed_case_count")
			p.Digits, p.Special = number("number_count"), number("special_char_count")
		}
		p.NoWords = (level == "STRONG" || level == "2") &&
			a.server.variables["validate_password.dictionary_file"]+a.server.variables["validate_password_dictionary_file"] != ""
	}
	simple := func(name string) int {
		i, _ := strconv.Atoi(a.server.variables["simple_password_check_"+name])
		return i
	}
	p.Length = max(p.Length, simple("minimal_length"))
	p.Lower, p.Upper = max(p.Lower, simple("letters_same_case")), max(p.Upper, simple("letters_same_case"))
	p.Digits, p.Special = max(p.Digits, simple("digits")), max(p.Special, simple("other_characters"))
	if _, err := password.Generate(p); err != nil {
		return password.Policy{}, refuse(PasswordPolicy, "the password policy of the server cannot be met for %s: %v", n, err)
	}
	return p, nil
}

// checkHashes refuses a MariaDB server that takes passwords in clear only, as it would write them to its logs.
func (a *Admin) checkHashes(ctx context.Context) error {
	if !a.server.mariadb || !a.server.on("strict_password_validation") {
		return nil
	}
	rows, err := a.query(ctx, "SELECT PLUGIN_NAME AS name FROM information_schema.PLUGINS"+
		" WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'")
	if err != nil {
		return fmt.Errorf("look for password validation: %w", err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.text("name"))
	}
	if names == nil {
		return nil
	}
	return refuse(PasswordPolicy, "the server checks passwords by %s with strict_password_validation, and so takes them in clear only, which its logs would keep:"+
		" SET GLOBAL strict_password_validation = OFF; the passwords made here meet the policy all the same", strings.Join(names, ", "))
}
