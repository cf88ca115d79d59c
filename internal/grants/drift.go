package grants

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// People and their tools know a pair by one of its names, the base name. While the other account is
// current, a GRANT or REVOKE on the base name affects only the standby, although it was meant for
// both. The rights that both accounts had after the last rotation show which changes were made to
// which account.

// rememberedRights is the largest number of rights that Plan.Rights records individually.
const rememberedRights = 1000

const (
	rightsVersion = "1:" // begins Plan.Rights
	rightDigest   = 6    // bytes of a right's digest
)

// trait is a right or, with option, permission to pass it on. The grant option of a static right is
// itself a right.
type trait struct {
	right
	option bool
}

func (s *Account) has(t trait) bool {
	passOn, ok := s.rights[t.right]
	return ok && (passOn || !t.option)
}

// set grants or revokes a trait.
func (s *Account) set(t trait, on bool) {
	switch {
	case !on && t.option:
		if s.has(t) {
			s.rights[t.right] = false
		}
	case !on:
		delete(s.rights, t.right)
	default:
		s.rights[t.right] = t.option || s.rights[t.right]
	}
}

// widens reports whether an account with the trait may do more than one without it.
func (t trait) widens() bool { return t.kind != restriction }

// digest confuses two rights with a probability of 1 in 2^48. Workflows store it, so rightsVersion
// must change when the spelling does.
func (t trait) digest() string {
	sum := sha256.Sum256([]byte(t.line()))
	return string(sum[:rightDigest])
}

// line returns the line of the normal form that has the trait.
func (t trait) line() string {
	if t.option {
		return t.String() + " with " + optionName(t.kind)
	}
	return t.String()
}

// rightsDigest returns a digest of each of the account's rights, for Pair.Rights, or "" if there
// are too many.
func (s *Account) rightsDigest() string {
	if len(s.rights) > rememberedRights {
		return ""
	}
	var digests []string
	for r, passOn := range s.rights {
		digests = append(digests, trait{r, false}.digest())
		if passOn {
			digests = append(digests, trait{r, true}.digest())
		}
	}
	slices.Sort(digests)
	return rightsVersion + base64.RawStdEncoding.EncodeToString([]byte(strings.Join(digests, "")))
}

// last returns a function that reports whether both accounts had a trait after the last rotation.
// It returns nil if that is unknown. If the rights were not recorded individually, it is still
// known as long as only one of the two accounts was changed.
func (p Pair) last(source, standby *Account) func(trait) bool {
	if text, ok := strings.CutPrefix(p.Rights, rightsVersion); ok {
		if all, err := base64.RawStdEncoding.DecodeString(text); err == nil {
			had := map[string]bool{}
			for d := range slices.Chunk(all, rightDigest) {
				had[string(d)] = true
			}
			return func(t trait) bool { return had[t.digest()] }
		}
	}
	switch p.Digest {
	case source.digest():
		return source.has
	case standby.digest():
		return standby.has
	}
	return nil
}

// drift describes the changes to a standby with the base name.
type drift struct {
	source *Account // the current account as it will be, with nothing revoked
	steps  []Step   // the steps to source

	standby     *Account
	current     *Account // the current account as it is now
	powers      *Powers
	given       []trait // what the current account gains
	removed     []trait // what only the current account still has, or is not restricted from
	lost        []trait // what the current account lost: by a REVOKE, or because the object was dropped and created again
	notAddable  []trait // what cannot be granted to it without revoking something
	undecidable []trait // what only one has after both were changed
}

// findDrift compares the current account with a standby that has the base name. last is Pair.last.
func findDrift(source, standby *Account, last func(trait) bool, p *Powers) *drift {
	m := &drift{source: source.clone(), current: source, standby: standby, powers: p}
	both := map[right]bool{}
	for _, s := range []*Account{source, standby} {
		for r := range s.rights {
			both[r] = true
		}
	}
	for _, r := range sorted(both) {
		own := r.kind == role && (source.Name.Same(Name{r.schema, r.object}) || standby.Name.Same(Name{r.schema, r.object}))
		if r.kind == defaultRole || own {
			continue // like other properties
		}
		for _, t := range []trait{{r, false}, {r, true}} {
			has := standby.has(t)
			switch {
			case has == source.has(t):
			case last == nil:
				m.undecidable = append(m.undecidable, t)
			case has == last(t): // the current account was changed
				if has && fallsAway(r.kind) {
					m.lost = append(m.lost, t)
				}
			case has != t.widens():
				m.removed = append(m.removed, t)
			case r.kind == proxy || m.shadows(r):
				m.notAddable = append(m.notAddable, t)
			default:
				m.given = append(m.given, t)
			}
		}
	}
	m.limits()
	for _, t := range m.given {
		m.source.set(t, standby.has(t))
	}
	m.steps = Difference(m.source, source, nil, p)
	if slices.ContainsFunc(m.steps, func(s Step) bool { return !strings.HasPrefix(s.Statement, "GRANT ") }) {
		m.notAddable, m.given = append(m.notAddable, m.given...), nil
	}
	for i := range m.steps {
		m.steps[i].OnSource, m.steps[i].Drift = true, true
		m.steps[i].Text += ", because " + standby.Name.String() + " was granted it since the last rotation"
	}
	return m
}

// fallsAway reports whether every account loses rights of a kind when their object is dropped. If a
// migration drops a routine, creates it again and grants it to the base name, the current account
// has lost the right by accident.
func fallsAway(k kind) bool { return k == routine || k == role || k == proxy }

// limits treats a restriction that came with a new global right as part of that right. It is not a
// removal, and cannot be added.
func (m *drift) limits() {
	given, limited := map[string]bool{}, map[string]bool{}
	for _, t := range m.given {
		if t.kind == global {
			given[t.privilege] = true
		}
	}
	m.removed = slices.DeleteFunc(m.removed, func(t trait) bool {
		limits := t.kind == restriction && given[t.privilege]
		if limits {
			limited[t.privilege] = true
			m.notAddable = append(m.notAddable, t)
		}
		return limits
	})
	m.given = slices.DeleteFunc(m.given, func(t trait) bool {
		limits := t.kind == global && limited[t.privilege]
		if limits {
			m.notAddable = append(m.notAddable, t)
		}
		return limits
	})
}

// shadows reports whether a right on a database would take other rights away from the current
// account: of all patterns that match a database, the servers apply only one.
func (m *drift) shadows(r right) bool {
	if r.kind != database {
		return false
	}
	for have := range m.current.rights {
		if have.kind == database && have.schema == r.schema {
			return false
		}
	}
	for have := range m.current.rights {
		if have.kind == database && wild(have.schema) && overlap(have.schema, r.schema) {
			return true
		}
	}
	return false
}

// refusal returns why the rotation must wait for a decision, or nil if it need not.
func (m *drift) refusal() error {
	var reasons []string
	because := func(traits []trait, before, after string) {
		if len(traits) > 0 {
			reasons = append(reasons, before+someOf(traits)+after)
		}
	}
	because(m.removed, "it lost ", "")
	because(m.lost, "it has ", ", which "+m.current.Name.String()+" lost by a REVOKE, or because it was dropped and created again")
	because(m.notAddable, "it was granted ", ", which cannot be granted to "+m.current.Name.String()+" without revoking other rights")
	because(m.undecidable, "the two differ in ", ", because both were changed, and it is unknown which change was made to which account")
	if reasons == nil {
		return nil
	}
	return m.undecided(strings.Join(reasons, "; "), slices.Concat(m.removed, m.lost, m.notAddable, m.undecidable))
}

// undecided refuses to continue, with the statements between which an operator must choose.
func (m *drift) undecided(reason string, traits []trait) error {
	alike := func(from, to *Account) string {
		wanted := to.clone()
		for _, t := range traits {
			wanted.set(t, from.has(t))
		}
		var statements []string
		for _, s := range Difference(wanted, to, nil, m.powers) {
			statements = append(statements, s.Statement)
		}
		return some(slices.Compact(statements), "; ")
	}
	return Refuse(Undecided, "%[1]s was changed since the last rotation, while %[2]s is the current account: "+
		"%[3]s. Either run %[4]s, or run %[5]s;"+
		" `starter rotate --undo-drift` does the latter, and also reverts every other change to %[1]s",
		m.standby.Name, m.current.Name, reason, alike(m.standby, m.current), alike(m.current, m.standby))
}

// some returns the beginning of a list that may be long.
func some(all []string, separator string) string {
	const shown = 10
	if len(all) <= shown {
		return strings.Join(all, separator)
	}
	return strings.Join(all[:shown], separator) + fmt.Sprintf("%sand %d more", separator, len(all)-shown)
}

func someOf(traits []trait) string {
	var words []string
	for _, t := range traits {
		word := t.line()
		if t.kind == restriction { // named after the privilege that it removes
			word = t.what() + " on " + t.on()
		}
		words = append(words, word)
	}
	return some(words, ", ")
}
