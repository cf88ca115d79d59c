package grants

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/rotate-user/rotate-user/internal/password"
)

// readMariaDB reads a row of mysql.global_priv.
func (server *Server) readMariaDB(s *Account, r Row) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Text("priv")), &keys); err != nil {
		return fmt.Errorf("mysql.global_priv: %w", err)
	}
	s.Plugin = password.Native // of accounts older than the table
	texts := map[string]*string{"plugin": &s.Plugin, "authentication_string": &s.hash}
	var subject, issuer, cipher, standard string
	texts["x509_subject"], texts["x509_issuer"], texts["ssl_cipher"], texts["default_role"] = &subject, &issuer, &cipher, &standard
	numbers := map[string]json.Number{"ssl_type": "0", "max_questions": "0", "max_updates": "0", "max_connections": "0",
		"max_user_connections": "0", "max_statement_time": "0", "password_lifetime": "-1", "password_last_changed": "-1", "access": "0",
		"version_id": "0"}
	for key, value := range keys {
		var err error
		if text := texts[key]; text != nil {
			err = json.Unmarshal(value, text)
		} else if n, ok := numbers[key]; ok {
			err = json.Unmarshal(value, &n)
			numbers[key] = n
		} else {
			switch key {
			case "account_locked":
				err = json.Unmarshal(value, &s.Locked)
			case "is_role":
				err = json.Unmarshal(value, &s.IsRole)
			case "auth_or":
				s.several = true
			default:
				s.unknown = append(s.unknown, fmt.Sprintf("key %q of mysql.global_priv", key))
			}
		}
		if err != nil {
			return fmt.Errorf("mysql.global_priv: key %q: %w", key, err)
		}
	}
	if err := s.readNumbers(numbers, subject, issuer, cipher); err != nil {
		return err
	}
	if standard != "" {
		s.rights[right{kind: defaultRole, schema: standard}] = false
	}
	rights, known := globalRights(numbers["access"])
	// A release takes what it wrote literally, and interprets by its own rules what older releases
	// wrote. It does not print a role's rights, which matter only for what an administrator may do
	// through them.
	wrote := false
	if id, err := numbers["version_id"].Int64(); err == nil {
		wrote = server.wrote(id)
	}
	if s.asksServer = !s.IsRole && !(known && wrote); !s.asksServer {
		for _, p := range rights {
			s.rights[right{kind: global, privilege: p}] = false
		}
	}
	return nil
}

// readNumbers sets the properties that mysql.global_priv keeps as numbers, and the TLS requirement, whose kind is one.
func (s *Account) readNumbers(numbers map[string]json.Number, subject, issuer, cipher string) error {
	types := map[json.Number]string{"0": "", "1": "ANY", "2": "X509", "3": "SPECIFIED"}
	sslType, ok := types[numbers["ssl_type"]]
	if !ok {
		sslType = "number " + string(numbers["ssl_type"])
	}
	s.requires(sslType, subject, issuer, cipher)
	s.properties["MAX_QUERIES_PER_HOUR"] = string(numbers["max_questions"])
	s.properties["MAX_UPDATES_PER_HOUR"] = string(numbers["max_updates"])
	s.properties["MAX_CONNECTIONS_PER_HOUR"] = string(numbers["max_connections"])
	s.properties["MAX_USER_CONNECTIONS"] = string(numbers["max_user_connections"])
	seconds, err := numbers["max_statement_time"].Float64()
	if err != nil {
		return fmt.Errorf("mysql.global_priv: key max_statement_time: %w", err)
	}
	s.properties["MAX_STATEMENT_TIME"] = strconv.FormatFloat(seconds, 'f', -1, 64)
	s.properties["PASSWORD EXPIRE"] = "DEFAULT"
	if days := numbers["password_lifetime"]; days != "-1" {
		s.properties["PASSWORD EXPIRE"] = lifetime(string(days))
	}
	s.Expired = numbers["password_last_changed"] == "0"
	if seconds, err := numbers["password_last_changed"].Int64(); err == nil && seconds > 0 {
		s.PasswordChanged = time.Unix(seconds, 0)
	}
	return nil
}

// AsksForGlobals reports whether the global rights are not read from the row, but from what the
// server prints.
func (s *Account) AsksForGlobals() bool { return s.asksServer }

// GlobalPrivileges are the account's global privileges.
func (s *Account) GlobalPrivileges() []string {
	var all []string
	for r := range s.rights {
		if r.kind == global {
			all = append(all, r.privilege)
		}
	}
	return all
}
