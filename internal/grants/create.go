package grants

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/internal/password"
)

// CreateStep returns the step that creates an account. The account is locked, and its hash is
// derived from the mark: it matches no password, and shows later who created the account. The
// account has its properties from the start. like is the other account of the pair, or nil.
func (server *Server) CreateStep(s *Account, mark string, like *Account) (Step, error) {
	hash, err := server.Unmatchable(s.Plugin, mark, like)
	if err != nil {
		return Step{}, fmt.Errorf("mark for %s: %w", s.Name, err)
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
	if ok { // it must come last
		tail += spell(map[string]string{"ATTRIBUTE": attribute})
	}
	text := "create " + s.Name.String() + ", locked"
	if like != nil {
		text += ", like " + like.Name.String()
	}
	if words := strings.TrimSpace(spell(set)); words != "" {
		text += ": " + words
	}
	return Step{
		Change: Change{Text: text, Statement: "CREATE USER " + s.Name.String() + server.IdentifiedBy(s.Plugin, "") + tail},
		hashed: "CREATE USER " + s.Name.String() + server.IdentifiedBy(s.Plugin, hash) + tail,
	}, nil
}

// standardValues are the values that CREATE USER sets by default.
var standardValues = map[string]string{
	"REQUIRE": "NONE", "MAX_QUERIES_PER_HOUR": "0", "MAX_UPDATES_PER_HOUR": "0", "MAX_CONNECTIONS_PER_HOUR": "0",
	"MAX_USER_CONNECTIONS": "0", "MAX_STATEMENT_TIME": "0", "PASSWORD EXPIRE": "DEFAULT", "PASSWORD HISTORY": "DEFAULT",
	"PASSWORD REUSE INTERVAL": "DEFAULT", "PASSWORD REQUIRE CURRENT": "DEFAULT",
	"FAILED_LOGIN_ATTEMPTS": "0 PASSWORD_LOCK_TIME 0", "ATTRIBUTE": "{}",
}

// DefaultPlugin returns the plugin of an account that is created without a plugin.
func (s *Server) DefaultPlugin() string {
	if _, ok := s.Columns["user"]["user_attributes"]; s.IsMariaDB() || !ok {
		return password.Native
	}
	return password.CachingSHA2
}

// Storage returns how to store a new hash that replaces those of the accounts, each of which may be
// nil: in the format that the server would use, with at least as many rounds as they have.
func (server *Server) Storage(instead ...*Account) password.Storage {
	s := password.Storage{PBKDF2: server.pbkdf2()}
	s.Rounds, _ = strconv.Atoi(server.Variables["caching_sha2_password_digest_rounds"]) // a number setting, or absent
	for _, have := range instead {
		if have == nil {
			continue
		}
		if had, ok := password.StorageOf(have.Plugin, have.hash); ok {
			s.Rounds = max(s.Rounds, had.Rounds)
		}
	}
	return s
}

// Unmatchable returns the hash derived from the mark, which no password matches, stored like those
// of the accounts; see Storage.
func (s *Server) Unmatchable(plugin, mark string, instead ...*Account) (string, error) {
	hash, err := s.Storage(instead...).Unmatchable(plugin, mark)
	return string(hash), err
}

// NewAccount returns an account with the rights in the grants.
func (s *Server) NewAccount(n Name, grants []string) (*Account, error) {
	wanted := &Account{Name: n, Plugin: s.DefaultPlugin(), properties: map[string]string{}, rights: map[right]bool{}}
	for i, g := range grants {
		rights, err := s.parseGrant(g)
		if err != nil { // the message omits the grant, which may contain a password
			return nil, Refuse(BadGrant, "grant %d for %s: %v", i+1, n, err)
		}
		for r, passOn := range rights {
			if s.lowersNames() && r.kind >= database && r.kind <= routine {
				r.schema, r.object = strings.ToLower(r.schema), strings.ToLower(r.object)
			}
			wanted.rights[r] = wanted.rights[r] || passOn
		}
	}
	return wanted, nil
}

// Existing returns the account if it was created earlier with the same mark, or nil if it does not
// exist yet. It refuses any other account with its user name.
func (wanted *Account) Existing(states []*Account, mark string) (*Account, error) {
	var now *Account
	for _, s := range states {
		if s.Name.User != wanted.Name.User {
			continue
		}
		if !s.Name.Same(wanted.Name) || !password.IsUnmatchable(s.Plugin, s.hash, mark) {
			return nil, Refuse(NotOurs, "account %s already exists: choose another name for %s", s.Name, wanted.Name)
		}
		now = s
	}
	return now, nil
}

// WithoutRights returns the account as CREATE USER creates it.
func (s *Account) WithoutRights() *Account {
	return &Account{Name: s.Name, rights: map[right]bool{}}
}

// CheckCreated refuses an account that does not have exactly the wanted rights after the statements
// for them.
func (wanted *Account) CheckCreated(accounts []*Account) error {
	for _, a := range accounts {
		if !a.Name.Same(wanted.Name) {
			continue
		}
		have, want := a.rightLines(), wanted.rightLines()
		var lines []string
		for _, line := range have {
			if !slices.Contains(want, line) {
				lines = append(lines, "it has "+line)
			}
		}
		for _, line := range want {
			if !slices.Contains(have, line) {
				lines = append(lines, "it lacks "+line)
			}
		}
		if lines == nil {
			return nil
		}
		slices.Sort(lines)
		return Refuse(Stale, "%s does not have the rights that were granted to it: %s; "+
			"correct the grants, or drop the account and create it again",
			wanted.Name, some(lines, "; "))
	}
	return RefuseAbsent(nil, wanted.Name)
}
