package grants

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Account is an account as the grant tables describe it.
type Account struct {
	Name           Name
	Plugin         string
	hash           string
	several        bool // more than one way or factor to log in
	SecondPassword bool // a second password is retained
	Locked         bool
	Expired        bool
	IsRole         bool // MariaDB only; MySQL's roles are accounts
	// certificate is whether the account logs in only with a client certificate.
	certificate     bool
	properties      map[string]string // the clause that sets each property, by the words before its value; see clauses
	rights          map[right]bool    // true if the right may be passed on, by its own grant option or a role's admin option
	fromServer      map[right]bool    // the rights that the server gave the account for the routines that it created
	PasswordChanged time.Time         // when the password was set last; zero if the server does not say
	asksServer      bool              // whether the server is to be asked for its global rights; MariaDB only
	usedBy          []string          // which accounts have this one as a role or may be its proxy, as text
	unknown         []string          // what this package does not know, as text
}

// kind is a kind of right. They are in the order in which rights must be granted, because some
// affect later ones.
type kind int

const (
	proxy kind = iota
	global
	database
	table
	columnOf
	routine
	dynamic
	restriction // a partial revoke: a global right that does not hold in one database
	role
	defaultRole
)

// right is one right. The grant option of a static right is itself a right, with grantOption as its
// privilege.
type right struct {
	kind                   kind
	privilege              string
	schema, object, detail string // what it is on: database, table or routine, column or kind of routine; or a user and its host
}

const grantOption = "GRANT OPTION"

// on returns the object of a right, for SQL and for display.
func (r right) on() string {
	switch r.kind {
	case database, restriction:
		return QuoteIdentifier(r.schema) + ".*"
	case table, columnOf:
		return QuoteIdentifier(r.schema) + "." + QuoteIdentifier(r.object)
	case routine:
		return r.detail + " " + QuoteIdentifier(r.schema) + "." + QuoteIdentifier(r.object)
	case proxy:
		return Name{r.schema, r.object}.String()
	case role, defaultRole:
		if r.object == "" { // MariaDB's roles have no host
			return QuoteIdentifier(r.schema)
		}
		return Name{r.schema, r.object}.String()
	}
	return "*.*"
}

// what returns the right without its object.
func (r right) what() string {
	if r.kind == columnOf {
		return r.privilege + " (" + QuoteIdentifier(r.detail) + ")"
	}
	return r.privilege
}

func (r right) String() string {
	switch r.kind {
	case proxy:
		return "PROXY on " + r.on()
	case role:
		return "role " + r.on()
	case defaultRole:
		return "default role " + r.on()
	case restriction:
		return "no " + r.what() + " on " + r.on()
	}
	return r.what() + " on " + r.on()
}

// Key is an account's name in the spelling of the grant tables, for maps.
type Key struct{ user, host string }

// Key returns the account's name for use as the key of a map.
func (n Name) Key() Key { return Key{n.User, strings.ToLower(n.Host)} }

// lines returns the account's normal form without its name: one sorted line for everything that the
// accounts of a pair have in common. It omits password, second password, lock and expiry, which may
// differ during a rotation.
func (s *Account) lines() []string {
	lines := s.rightLines()
	for clause, value := range s.properties {
		lines = append(lines, strings.TrimSpace(clause+" "+value))
	}
	for _, u := range s.unknown {
		lines = append(lines, "unknown: "+u)
	}
	slices.Sort(lines)
	return lines
}

// rightLines returns the rights as text, in no order.
func (s *Account) rightLines() []string {
	lines := make([]string, 0, len(s.rights)+len(s.properties))
	for r, passOn := range s.rights {
		line := r.String()
		if passOn {
			line += " with " + optionName(r.kind)
		}
		lines = append(lines, line)
	}
	return lines
}

// digest returns the SHA-256 of the normal form and the plugin.
func (s *Account) digest() string {
	sum := sha256.Sum256([]byte(strings.Join(append(s.lines(), "plugin "+s.Plugin), "\n")))
	return hex.EncodeToString(sum[:])
}

// AllLines returns the normal form, and what else must be equal after a rotation.
func (s *Account) AllLines() []string {
	return append(s.lines(),
		"plugin "+s.Plugin,
		fmt.Sprint("locked ", s.Locked),
		fmt.Sprint("password expired ", s.Expired),
		fmt.Sprint("several ways to log in ", s.several),
	)
}

func optionName(k kind) string {
	if k == role {
		return "admin option"
	}
	return "grant option"
}

func (s *Account) clone() *Account {
	c := *s
	c.properties, c.rights = maps.Clone(s.properties), maps.Clone(s.rights)
	return &c
}

// sorted returns the rights in the order of granting, always the same.
func sorted[V any](rights map[right]V) []right {
	return slices.SortedFunc(maps.Keys(rights), func(x, y right) int {
		if x.kind != y.kind {
			return int(x.kind - y.kind)
		}
		for _, pair := range [][2]string{{x.schema, y.schema}, {x.object, y.object}, {x.detail, y.detail}, {x.privilege, y.privilege}} {
			if c := strings.Compare(pair[0], pair[1]); c != 0 {
				return c
			}
		}
		return 0
	})
}

// NewAccount returns an account without properties and rights.
func NewAccount(n Name) *Account {
	return &Account{Name: n, properties: map[string]string{}, rights: map[right]bool{}, fromServer: map[right]bool{}}
}
