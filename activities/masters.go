package activities

import (
	"errors"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// MasterPattern names master secrets that a worker may use: one by its name or ARN, or all whose name or ARN begins with what
// stands before a final asterisk.
type MasterPattern string

// Validate refuses a pattern that could not mean what it seems to.
func (p MasterPattern) Validate() error {
	prefix, _ := strings.CutSuffix(string(p), "*")
	switch {
	case strings.TrimSpace(string(p)) == "":
		return errors.New("a name is empty: leave the list out to allow every master secret")
	case strings.Contains(prefix, "*"):
		return errors.New("\"" + string(p) + "\" has an asterisk before its end: only the last character may be one")
	case strings.ContainsAny(string(p), " \t\r\n"):
		return errors.New("\"" + string(p) + "\" has a space, which no name of a secret has")
	}
	return nil
}

func (p MasterPattern) matches(v secret.Version) bool {
	if prefix, ok := strings.CutSuffix(string(p), "*"); ok {
		return strings.HasPrefix(v.Name, prefix) || strings.HasPrefix(v.ARN, prefix)
	}
	return v.Is(string(p))
}

// permit refuses a master secret that the worker's configuration does not list. It decides by the name and the ARN that
// Secrets Manager answers along with the value, never by the spelling of an input: so the value has been read by then, but no
// connection has been opened with it. To ask for the name first would cost every step a call.
func (t *attempt) permit(m secret.Version) error {
	if len(t.Masters) == 0 || slices.ContainsFunc(t.Masters, func(p MasterPattern) bool { return p.matches(m) }) {
		return nil
	}
	return refuse(rotation.ErrorMasterNotAllowed, "master secret %s (%s) is not one that this worker may use: name another master secret, or add this one to the worker's --allowed-master-secrets", m.Name, m.ARN)
}
