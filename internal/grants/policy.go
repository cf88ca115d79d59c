package grants

import (
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/internal/password"
)

// PasswordPolicy returns the server's requirements for a new password of the account. The server
// cannot check a hash against them, but their purpose still holds. The error is a *Refusal if the
// policy cannot be met.
func (s *Server) PasswordPolicy(n Name) (password.Policy, error) {
	if err := s.checkHashes(); err != nil {
		return password.Policy{}, err
	}
	number := func(name string) int {
		if v, ok := s.Variables["validate_password."+name]; ok {
			i, _ := strconv.Atoi(v) // a number setting
			return i
		}
		i, _ := strconv.Atoi(s.Variables["validate_password_"+name])
		return i
	}
	var p password.Policy
	level, ok := s.Variables["validate_password.policy"]
	if !ok {
		level, ok = s.Variables["validate_password_policy"]
	}
	if ok {
		p.Length = number("length")
		if level != "LOW" && level != "0" {
			p.Lower, p.Upper = number("mixed_case_count"), number("mixed_case_count")
			p.Digits, p.Special = number("number_count"), number("special_char_count")
		}
		p.NoWords = (level == "STRONG" || level == "2") &&
			s.Variables["validate_password.dictionary_file"]+s.Variables["validate_password_dictionary_file"] != ""
	}
	simple := func(name string) int {
		i, _ := strconv.Atoi(s.Variables["simple_password_check_"+name])
		return i
	}
	p.Length = max(p.Length, simple("minimal_length"))
	p.Lower, p.Upper = max(p.Lower, simple("letters_same_case")), max(p.Upper, simple("letters_same_case"))
	p.Digits, p.Special = max(p.Digits, simple("digits")), max(p.Special, simple("other_characters"))
	if _, err := password.Generate(p); err != nil {
		return password.Policy{}, Refuse(PasswordPolicy, "no password for %s can meet the server's password policy: %v", n, err)
	}
	return p, nil
}

// checkHashes refuses a MariaDB server that accepts passwords only in clear text, because it would
// write them to its logs.
func (s *Server) checkHashes() error {
	if len(s.Validators) == 0 || !s.On("strict_password_validation") {
		return nil
	}
	return Refuse(PasswordPolicy, "the server checks passwords with %s and strict_password_validation, "+
		"so it accepts them only in clear text, which its logs would keep:"+
		" SET GLOBAL strict_password_validation = OFF; generated passwords meet the policy anyway", strings.Join(s.Validators, ", "))
}
