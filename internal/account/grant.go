package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Create makes a limited account, locked and with a password that nobody knows, or completes one that it made before with
// the same mark. Grants are written as in GRANT, without its TO: "SELECT, INSERT ON shop.*", "SELECT (id) ON shop.orders",
// "EXECUTE ON PROCEDURE shop.close", "ALL ON shop.* WITH GRANT OPTION". As in GRANT, _ and % in the name of a database are
// patterns unless a backslash is before them. They are parsed, never run as text.
func (a *Admin) Create(ctx context.Context, n Name, grants []string, mark string) error {
	if err := a.mayWrite(ctx, n); err != nil {
		return err
	}
	wanted := &state{name: n, plugin: a.usualPlugin(), properties: map[string]string{}, rights: map[right]bool{}}
	for _, g := range grants {
		rights, err := a.parseGrant(g)
		if err != nil {
			return refuse(BadGrant, "grant %q for %s: %v", g, n, err)
		}
		for r, passOn := range rights {
			wanted.rights[r] = wanted.rights[r] || passOn
		}
	}
	return a.inForce(ctx, func() error {
		return a.locked(ctx, []string{n.User}, func(ctx context.Context) error { return a.createWith(ctx, wanted, mark) })
	})
}

func (a *Admin) createWith(ctx context.Context, wanted *state, mark string) error {
	users := []string{wanted.name.User, a.name.User}
	for _, r := range a.roles {
		users = append(users, r.User)
	}
	states, err := a.read(ctx, users...)
	if err != nil {
		return err
	}
	now := &state{name: wanted.name, rights: map[right]bool{}}
	exists := false
	for _, s := range states {
		if s.name.User != wanted.name.User {
			continue
		}
		hash, err := a.unmatchable(s.plugin, mark)
		if !s.name.same(wanted.name) || err != nil || s.hash != hash {
			return refuse(NotOurs, "an account %s exists already: choose another name for %s", s.name, wanted.name)
		}
		now, exists = s, true
	}
	if limit := a.server.columns[a.server.accounts()]["user"].length; limit > 0 && len([]rune(wanted.name.User)) > limit {
		return refuse(NameTooLong, "the name %s has %d characters and this server allows %d", wanted.name, len([]rune(wanted.name.User)), limit)
	}
	if _, err := a.PasswordPolicy(ctx, wanted.name); err != nil {
		return err
	}
	var steps []step
	if !exists {
		st, err := a.create(wanted, mark, Name{})
		if err != nil {
			return err
		}
		steps = append(steps, st)
	}
	p, err := a.powers(ctx, states)
	if err != nil {
		return err
	}
	steps = append(steps, difference(wanted, now, nil, p)...)
	if err := a.checkPowers(ctx, p, &pairState{source: wanted, others: states}, steps); err != nil {
		return err
	}
	for _, st := range steps {
		if err := a.exec(ctx, st.statement()); err != nil {
			return fmt.Errorf("%s: %w", st.Text, err)
		}
	}
	return nil
}

// parseGrant reads one grant: privileges ON what [WITH GRANT OPTION].
func (a *Admin) parseGrant(text string) (map[right]bool, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	type item struct {
		privilege string
		columns   []string
	}
	var items []item
	for {
		words := p.words("ON")
		if words == "" {
			return nil, fmt.Errorf("a privilege is missing before %s", p.next())
		}
		it := item{privilege: words}
		if p.take("(") {
			for {
				name, err := p.identifier()
				if err != nil {
					return nil, err
				}
				it.columns = append(it.columns, name)
				if p.take(")") {
					break
				}
				if !p.take(",") {
					return nil, fmt.Errorf("a comma or bracket is missing before %s", p.next())
				}
			}
		}
		items = append(items, it)
		if !p.take(",") {
			break
		}
	}
	if !p.take("ON") {
		return nil, fmt.Errorf("ON is missing before %s", p.next())
	}
	where, err := p.object()
	if err != nil {
		return nil, err
	}
	passOn := p.take("WITH")
	if passOn && !(p.take("GRANT") && p.take("OPTION")) {
		return nil, fmt.Errorf("GRANT OPTION is missing after WITH")
	}
	if !p.end() {
		return nil, fmt.Errorf("%s is not expected", p.next())
	}
	rights := map[right]bool{}
	for _, it := range items {
		r := where
		r.privilege = it.privilege
		switch {
		case it.columns != nil:
			if where.kind != table || !privileges[it.privilege] {
				return nil, fmt.Errorf("columns go with a privilege on a table")
			}
			r.kind = columnOf
			for _, r.c = range it.columns {
				rights[r] = false
			}
		case it.privilege == "ALL" || it.privilege == "ALL PRIVILEGES":
			if where.kind != database {
				return nil, fmt.Errorf("ALL is for a database: name the privileges")
			}
			for name := range a.server.columns["db"] {
				if r.privilege = columnPrivilege(name); strings.HasSuffix(name, "_priv") && r.privilege != grantOption {
					rights[r] = false
				}
			}
		case it.privilege == "USAGE":
		case privileges[it.privilege]:
			rights[r] = false
		case where.kind == global && a.server.hasTable("global_grants") && !strings.Contains(it.privilege, " "):
			r.kind = dynamic
			rights[r] = passOn
		default:
			return nil, fmt.Errorf("there is no privilege %s", it.privilege)
		}
	}
	static := slices.ContainsFunc(items, func(it item) bool { return it.privilege == "USAGE" })
	for r := range rights {
		static = static || r.kind != dynamic
	}
	if passOn && static {
		where.privilege = grantOption
		rights[where] = false
	}
	return rights, nil
}

// token is a word or sign as it stands, or the inside of a quoted identifier.
type token struct {
	text   string
	quoted bool
}

func tokenize(s string) ([]token, error) {
	var tokens []token
	for s != "" {
		switch c := s[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			s = s[1:]
		case strings.IndexByte("(),.*", c) >= 0:
			tokens = append(tokens, token{text: s[:1]})
			s = s[1:]
		case c == '`':
			end := 1
			for ; end < len(s); end++ {
				if s[end] != '`' {
					continue
				}
				if end+1 == len(s) || s[end+1] != '`' {
					break
				}
				end++
			}
			if end >= len(s) {
				return nil, fmt.Errorf("a backtick is not closed")
			}
			name, rest := unquoteIdentifier(s)
			tokens = append(tokens, token{name, true})
			s = rest
		default:
			end := strings.IndexFunc(s, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '$'
			})
			if end < 0 {
				end = len(s)
			}
			if end == 0 {
				return nil, fmt.Errorf("%q is not expected: quote names with backticks", []rune(s)[0])
			}
			tokens = append(tokens, token{text: s[:end]})
			s = s[end:]
		}
	}
	return tokens, nil
}

type parser struct{ tokens []token }

func (p *parser) end() bool { return len(p.tokens) == 0 }

// next shows what comes next, for messages.
func (p *parser) next() string {
	if p.end() {
		return "the end"
	}
	return fmt.Sprintf("%q", p.tokens[0].text)
}

// take takes one word or sign if it is next, whatever its case.
func (p *parser) take(word string) bool {
	if p.end() || p.tokens[0].quoted || !strings.EqualFold(p.tokens[0].text, word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// words takes the words up to a sign or the given one, in upper case.
func (p *parser) words(until string) string {
	var words []string
	for !p.end() {
		t := p.tokens[0]
		if t.quoted || strings.Contains("(),.*", t.text) || strings.EqualFold(t.text, until) {
			break
		}
		words = append(words, strings.ToUpper(t.text))
		p.tokens = p.tokens[1:]
	}
	return strings.Join(words, " ")
}

func (p *parser) identifier() (string, error) {
	if p.end() || !p.tokens[0].quoted && strings.Contains("(),.*", p.tokens[0].text) || p.tokens[0].text == "" {
		return "", fmt.Errorf("a name is missing before %s", p.next())
	}
	name := p.tokens[0].text
	p.tokens = p.tokens[1:]
	return name, nil
}

// object reads *.*, db.*, [TABLE] db.table, PROCEDURE db.name or FUNCTION db.name.
func (p *parser) object() (right, error) {
	r := right{kind: table}
	switch {
	case p.take("PROCEDURE"):
		r.kind, r.c = routine, "PROCEDURE"
	case p.take("FUNCTION"):
		r.kind, r.c = routine, "FUNCTION"
	case p.take("TABLE"):
	case p.take("*"):
		if p.take(".") && p.take("*") {
			return right{kind: global}, nil
		}
		return r, fmt.Errorf("a database is missing: write *.* for all")
	}
	var err error
	if r.a, err = p.identifier(); err != nil {
		return r, err
	}
	if !p.take(".") {
		return r, fmt.Errorf("a database and a dot are missing before %s", quoteIdentifier(r.a))
	}
	if r.kind == table && p.take("*") {
		r.kind = database
		return r, nil
	}
	r.b, err = p.identifier()
	return r, err
}
