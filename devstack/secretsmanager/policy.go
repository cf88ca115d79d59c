package secretsmanager

import (
	"encoding/json"
	"slices"
	"strings"
)

// policy is the part of a resource policy that is evaluated. Conditions are not: a statement with a
// condition allows nothing.
type policy struct {
	Version   string
	Statement oneOrMore[statement]
}

type statement struct {
	Effect    string
	Principal principal
	Action    oneOrMore[string]
	Resource  oneOrMore[string]
	Condition map[string]any
}

// oneOrMore is a JSON list, or a single value in place of a list with one element.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	err := json.Unmarshal(b, &one)
	*l = []T{one}
	return err
}

// principal is the list of accounts, users and roles that a statement applies to.
type principal []string

func (p *principal) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*p = principal{text}
		return nil
	}
	var kinds map[string]oneOrMore[string]
	err := json.Unmarshal(b, &kinds)
	*p = principal(kinds["AWS"])
	return err
}

// parsePolicy parses a policy, and returns what is wrong with it, or "".
func parsePolicy(text string) (p policy, problem string) {
	if json.Unmarshal([]byte(text), &p) != nil {
		return p, "This resource policy contains invalid Json."
	}
	if len(p.Statement) == 0 {
		return p, "This resource policy has no statement."
	}
	for _, s := range p.Statement {
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return p, "This resource policy has a statement whose effect is neither Allow nor Deny."
		case len(s.Action) == 0 || len(s.Resource) == 0 || s.Principal == nil:
			return p, "This resource policy has a statement without action, resource or principal."
		}
	}
	return p, ""
}

// public reports whether a policy gives rights to everyone.
func (p policy) public() bool {
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		return s.Effect == "Allow" && s.Condition == nil && slices.Contains(s.Principal, "*")
	})
}

// allows reports whether the secret's policy lets another account make a call.
func (sec *secret) allows(account, operation string) bool {
	p, problem := parsePolicy(sec.Policy)
	if problem != "" {
		return false
	}
	allowed := false
	for _, s := range p.Statement {
		about := slices.ContainsFunc(s.Principal, func(p string) bool {
			return p == "*" || p == account || strings.HasPrefix(p, "arn:aws:iam::"+account+":")
		}) && slices.ContainsFunc(s.Action, func(a string) bool {
			return a == "*" || a == "secretsmanager:*" || a == "secretsmanager:"+operation
		})
		switch {
		case about && s.Effect == "Deny":
			return false
		case about && s.Condition == nil:
			allowed = true
		}
	}
	return allowed
}

type putResourcePolicyInput struct {
	SecretId, ResourcePolicy string
	BlockPublicPolicy        bool
}

const maxPolicy = 20480 // bytes

func (s caller) putResourcePolicy(in *putResourcePolicyInput) (identity, error) {
	if err := checkLength("ResourcePolicy", len(in.ResourcePolicy), 1, maxPolicy); err != nil {
		return identity{}, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return identity{}, err
	}
	p, problem := parsePolicy(in.ResourcePolicy)
	switch {
	case problem != "":
		return identity{}, errorf("MalformedPolicyDocumentException", "%s", problem)
	case in.BlockPublicPolicy && p.public():
		return identity{}, errorf("PublicPolicyException", "This resource policy grants broad access to the secret.")
	}
	sec.Policy = in.ResourcePolicy
	s.changed(sec)
	return sec.identity(), nil
}

type getResourcePolicyOutput struct {
	identity
	ResourcePolicy string `json:",omitempty"`
}

func (s caller) getResourcePolicy(in *secretIDInput) (getResourcePolicyOutput, error) {
	sec, err := s.live(in.SecretId)
	if err != nil {
		return getResourcePolicyOutput{}, err
	}
	return getResourcePolicyOutput{sec.identity(), sec.Policy}, nil
}

func (s caller) deleteResourcePolicy(in *secretIDInput) (identity, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return identity{}, err
	}
	sec.Policy = ""
	s.changed(sec)
	return sec.identity(), nil
}

type validateResourcePolicyInput struct {
	SecretId, ResourcePolicy string
}

type validateResourcePolicyOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []validationError
}

type validationError struct{ CheckName, ErrorMessage string }

func (s caller) validateResourcePolicy(in *validateResourcePolicyInput) (validateResourcePolicyOutput, error) {
	out := validateResourcePolicyOutput{ValidationErrors: []validationError{}}
	if err := checkLength("ResourcePolicy", len(in.ResourcePolicy), 1, maxPolicy); err != nil {
		return out, err
	}
	if in.SecretId != "" {
		if _, err := s.live(in.SecretId); err != nil {
			return out, err
		}
	}
	p, problem := parsePolicy(in.ResourcePolicy)
	switch {
	case problem != "":
		return out, errorf("MalformedPolicyDocumentException", "%s", problem)
	case p.public():
		out.ValidationErrors = append(out.ValidationErrors,
			validationError{"BROAD_ACCESS", "This resource policy grants broad access to the secret."})
	}
	out.PolicyValidationPassed = len(out.ValidationErrors) == 0
	return out, nil
}
