package secretsmanager

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// caller is the sender of a call, and its region. Operations see the secrets of the caller's
// account and region by name, and those of other accounts by ARN.
type caller struct {
	*Server
	region, account string
	// service is the AWS service that calls, such as rds, or "" for all others.
	service    string
	operation  string
	withoutLag bool
}

// home is a caller in the account and region of [Options].
func (s *Server) home() caller { return caller{Server: s, region: s.region, account: s.account} }

var (
	credentialForm = regexp.MustCompile(`Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/secretsmanager/aws4_request`)
	accountForm    = regexp.MustCompile(`^\d{12}$`)
)

// caller reads the region from the credential scope of a request's signature, which is not
// verified. An access key that is an account number belongs to that account, and any other one to
// the account of [Options].
func (s *Server) caller(r *http.Request) caller {
	c := s.home()
	if m := credentialForm.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		c.region = m[2]
		if accountForm.MatchString(m[1]) {
			c.account = m[1]
		}
	}
	return c
}

// ForService returns a handler for the calls of an AWS service, such as rds. The service owns the
// secrets that it creates, and only it can change them. It may set tags whose keys begin with aws:.
func (s *Server) ForService(service string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.caller(r)
		c.service = service
		s.serve(w, r, c)
	})
}

// key returns where the state keeps a secret: by name in the account and region of [Options], and
// by account, region and name elsewhere.
func (s *Server) key(account, region, name string) string {
	if account == s.account && region == s.region {
		return name
	}
	return account + ":" + region + ":" + name
}

func (s *Server) keyOf(sec *secret) string { return s.key(sec.account(), sec.region(), sec.Name) }

func (sec *secret) region() string  { return strings.Split(sec.ARN, ":")[3] }
func (sec *secret) account() string { return strings.Split(sec.ARN, ":")[4] }

var (
	nameForm      = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	arnForm       = regexp.MustCompile(`^arn:aws:secretsmanager:([^:]+):([^:]+):secret:([^:]+)$`)
	arnSuffixForm = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

const arnSuffixLen = 7 // hyphen and six characters

// newARN returns an ARN for a secret. Because of its six random characters, rights on a deleted
// secret do not apply to a later one with the same name.
func (s caller) newARN(name string) string {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := make([]byte, arnSuffixLen-1)
	for i := range suffix {
		suffix[i] = alphanumeric[random.IntN(len(alphanumeric))]
	}
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", s.region, s.account, name, suffix)
}

var errNoSecret = errorf(notFound, "Secrets Manager can't find the specified secret.")

// checkID checks the form of a SecretId: a name, an ARN, or an ARN without its hyphen and six
// characters.
func checkID(id string) error {
	if err := checkLength("SecretId", len(id), 1, 2048); err != nil {
		return err
	}
	name := id
	if strings.HasPrefix(id, "arn:") {
		name = strings.ReplaceAll(id, ":", "")
	}
	return checkName(name)
}

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return errorf(validation, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return nil
}

// find returns the secret that id names, even if it is scheduled for deletion. A secret of another
// account must have a resource policy that allows the call.
//
// An ARN that ends in a hyphen and six characters is taken for a complete one. So a secret whose
// name ends that way is not found by its partial ARN, as the API reference warns.
// the API reference warns.
func (s caller) find(id string) (*secret, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(id, "arn:") {
		if sec := s.named(id); sec != nil {
			return sec, nil
		}
		return nil, errNoSecret
	}
	m := arnForm.FindStringSubmatch(id)
	if m == nil || m[1] != s.region {
		return nil, errNoSecret
	}
	owner := s
	owner.account = m[2]
	sec := owner.withARN(id, m[3])
	switch {
	case owner.account != s.account && (sec == nil || !sec.allows(s.account, s.operation)):
		return nil, errorf("AccessDeniedException", "User: arn:aws:iam::%s:user/any is not authorized to perform: "+
			"secretsmanager:%s on resource: %s "+
			"because no resource-based policy allows the secretsmanager:%s action", s.account, s.operation, id, s.operation)
	case sec == nil:
		return nil, errNoSecret
	}
	return sec, nil
}

// withARN returns the secret with a complete or partial ARN that ends in name, or nil.
func (s caller) withARN(arn, name string) *secret {
	if !arnSuffixForm.MatchString(name) {
		return s.named(name)
	}
	if sec := s.named(name[:len(name)-arnSuffixLen]); sec != nil && sec.ARN == arn {
		return sec
	}
	return nil
}

// named returns the secret with this name, or nil. It removes a secret whose recovery window has
// passed.
func (s caller) named(name string) *secret {
	key := s.key(s.account, s.region, name)
	sec := s.state.Secrets[key]
	if sec != nil && sec.Deleted != 0 && sec.Deleted <= s.instant() {
		delete(s.state.Secrets, key)
		s.touch(key)
		return nil
	}
	return sec
}

var errScheduled = errorf(invalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")

// live is find for operations that refuse a secret scheduled for deletion.
func (s caller) live(id string) (*secret, error) {
	sec, err := s.find(id)
	if err == nil && sec.Deleted != 0 {
		return nil, errScheduled
	}
	return sec, err
}

var errReplica = errorf(invalidParameter, "Operation not permitted on a replica secret. Call must be made in primary secret's region.")

// writable is live for operations that change a secret.
func (s caller) writable(id string) (*secret, error) {
	sec, err := s.live(id)
	switch {
	case err != nil:
		return nil, err
	case sec.PrimaryRegion != "":
		return nil, errReplica
	case sec.OwningService != s.service:
		return nil, errorf(invalidRequest, "You can't modify secret %s because it is managed by %s.", sec.Name,
			cmp.Or(sec.OwningService, "no service"))
	}
	return sec, nil
}

// MakeReadOnly makes a secret a replica of one in another region, or gives it to an AWS service
// that alone may change it. No API call of this endpoint can do that. It is an error if the secret
// does not exist.
func (s *Server) MakeReadOnly(secretID, primaryRegion, owningService string) error {
	_, seen, err := locked(s.home(), &secretIDInput{secretID}, func(s caller, in *secretIDInput) (none, error) {
		sec, err := s.find(in.SecretId)
		if err == nil {
			sec.PrimaryRegion, sec.OwningService = primaryRegion, owningService
			s.changed(sec)
		}
		return none{}, err
	}, true)
	if err != nil {
		return err
	}
	return s.save(seen)
}
