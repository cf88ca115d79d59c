package activities

import (
	"errors"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// MasterPattern selects master secrets that a worker may use. It is a name or an ARN or, with a
// final asterisk, the beginning of a name or an ARN.
type MasterPattern string

// Validate returns an error for a pattern that could be misunderstood.
func (p MasterPattern) Validate() error {
	prefix, _ := strings.CutSuffix(string(p), "*")
	switch {
	case strings.TrimSpace(string(p)) == "":
		return errors.New("a name is empty: to allow every master secret, leave out the list")
	case strings.Contains(prefix, "*"):
		return errors.New("\"" + string(p) + "\" has an asterisk before its end: only the last character may be an asterisk")
	case strings.ContainsAny(string(p), " \t\r\n"):
		return errors.New("\"" + string(p) + "\" contains a space: no secret has one in its name")
	}
	return nil
}

func (p MasterPattern) matches(v secret.Version) bool {
	if prefix, ok := strings.CutSuffix(string(p), "*"); ok {
		return strings.HasPrefix(v.Name, prefix) || strings.HasPrefix(v.ARN, prefix)
	}
	return v.Is(string(p))
}

// permit refuses a master secret that the worker's configuration does not allow. It compares the
// name and the ARN that Secrets Manager returns with the value, never the spelling in an input. By
// then the value has been read, but not used. Reading only the name first would cost every step a
// call.
func (a *Activities) permit(m secret.Version) error {
	if len(a.Masters) == 0 || slices.ContainsFunc(a.Masters, func(p MasterPattern) bool { return p.matches(m) }) {
		return nil
	}
	return refuse(rotation.ErrorMasterNotAllowed, "this worker may not use master secret %s (%s):"+
		" add it to the worker's --allowed-master-secrets, or give another master secret", m.Name, m.ARN)
}
