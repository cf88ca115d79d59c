package grants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// readMySQL reads a row of mysql.user. A clause is among the properties only if its column exists,
// so that a server never gets syntax newer than itself.
func readMySQL(s *Account, r Row) error {
	s.Plugin, s.hash = r.Text("plugin"), r.Text("authentication_string")
	s.Locked, s.Expired = r.Text("account_locked") == "Y", r.Text("password_expired") == "Y"
	for name, value := range r {
		if strings.HasSuffix(name, "_priv") && value.String == "Y" {
			s.add(right{kind: global, privilege: columnPrivilege(name)}, false)
		}
	}
	s.PasswordChanged, _ = time.Parse(time.DateTime, r.Text("password_last_changed")) // in the session's zone, UTC
	s.requires(r.Text("ssl_type"), r.Text("x509_subject"), r.Text("x509_issuer"), r.Text("ssl_cipher"))
	s.properties["MAX_QUERIES_PER_HOUR"] = r.Text("max_questions")
	s.properties["MAX_UPDATES_PER_HOUR"] = r.Text("max_updates")
	s.properties["MAX_CONNECTIONS_PER_HOUR"] = r.Text("max_connections")
	s.properties["MAX_USER_CONNECTIONS"] = r.Text("max_user_connections")
	s.properties["PASSWORD EXPIRE"] = "DEFAULT"
	if v := r["password_lifetime"]; v.Valid {
		s.properties["PASSWORD EXPIRE"] = lifetime(v.String)
	}
	setDefault := func(clause, column, suffix string) {
		if v, ok := r[column]; ok && v.Valid {
			s.properties[clause] = v.String + suffix
		} else if ok {
			s.properties[clause] = "DEFAULT"
		}
	}
	setDefault("PASSWORD HISTORY", "password_reuse_history", "")
	setDefault("PASSWORD REUSE INTERVAL", "password_reuse_time", " DAY")
	if v, ok := r["password_require_current"]; ok {
		switch {
		case !v.Valid:
			s.properties["PASSWORD REQUIRE CURRENT"] = "DEFAULT"
		case v.String == "N":
			s.properties["PASSWORD REQUIRE CURRENT"] = "OPTIONAL"
		default:
			s.properties["PASSWORD REQUIRE CURRENT"] = ""
		}
	}
	return s.readAttributes(r)
}

// readAttributes reads the column User_attributes, which MySQL has from 8.0.14 on.
func (s *Account) readAttributes(r Row) error {
	attributes, ok := r["user_attributes"]
	if !ok {
		return nil
	}
	s.properties["FAILED_LOGIN_ATTEMPTS"] = "0 PASSWORD_LOCK_TIME 0"
	s.properties["ATTRIBUTE"] = "{}"
	if !attributes.Valid {
		return nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(attributes.String), &keys); err != nil {
		return fmt.Errorf("User_attributes: %w", err)
	}
	for key, value := range keys {
		switch key {
		case "metadata":
			text, err := canonical(value)
			if err != nil {
				return fmt.Errorf("User_attributes.metadata: %w", err)
			}
			s.properties["ATTRIBUTE"] = text
		case "Password_locking":
			if err := s.passwordLocking(value); err != nil {
				return err
			}
		case "Restrictions":
			if err := s.restrictions(value); err != nil {
				return err
			}
		case "additional_password":
			s.SecondPassword = true
		case "multi_factor_authentication":
			s.several = true
		default:
			s.unknown = append(s.unknown, fmt.Sprintf("key %q of mysql.user.User_attributes", key))
		}
	}
	return nil
}

func (s *Account) passwordLocking(value []byte) error {
	var keys map[string]json.Number
	if err := json.Unmarshal(value, &keys); err != nil {
		return fmt.Errorf("User_attributes.Password_locking: %w", err)
	}
	attempts, days := json.Number("0"), json.Number("0")
	for key, number := range keys {
		switch key {
		case "failed_login_attempts":
			attempts = number
		case "password_lock_time_days":
			days = number
		default:
			s.unknown = append(s.unknown, fmt.Sprintf("key %q of mysql.user.User_attributes.Password_locking", key))
		}
	}
	if days == "-1" {
		days = "UNBOUNDED"
	}
	s.properties["FAILED_LOGIN_ATTEMPTS"] = string(attempts + " PASSWORD_LOCK_TIME " + days)
	return nil
}

func (s *Account) restrictions(value []byte) error {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return fmt.Errorf("User_attributes.Restrictions: %w", err)
	}
	for _, keys := range list {
		var db string
		var names []string
		for key, v := range keys {
			var err error
			switch key {
			case "Database":
				err = json.Unmarshal(v, &db)
			case "Privileges":
				err = json.Unmarshal(v, &names)
			default:
				s.unknown = append(s.unknown, fmt.Sprintf("key %q of mysql.user.User_attributes.Restrictions", key))
			}
			if err != nil {
				return fmt.Errorf("User_attributes.Restrictions: %w", err)
			}
		}
		for _, p := range names {
			if p == "GRANT" {
				p = grantOption
			}
			if !privileges[p] {
				s.unknown = append(s.unknown, fmt.Sprintf("restriction of %s on %s", p, QuoteIdentifier(db)))
				continue
			}
			s.rights[right{kind: restriction, privilege: p, schema: db}] = false
		}
	}
	return nil
}

// requires turns a TLS requirement into a single clause, because REQUIRE replaces all parts at
// once.
func (s *Account) requires(sslType, subject, issuer, cipher string) {
	value := "NONE"
	switch sslType {
	case "":
	case "ANY":
		value = "SSL"
	case "X509":
		value, s.certificate = "X509", true
	case "SPECIFIED":
		var parts []string
		for _, p := range [][2]string{{"SUBJECT", subject}, {"ISSUER", issuer}, {"CIPHER", cipher}} {
			if p[1] != "" {
				parts = append(parts, p[0]+" "+QuoteLiteral(p[1]))
			}
		}
		if parts == nil {
			parts = []string{"SUBJECT ''"}
		}
		value, s.certificate = strings.Join(parts, " "), true
	default:
		s.unknown = append(s.unknown, fmt.Sprintf("TLS requirement %q", sslType))
	}
	s.properties["REQUIRE"] = value
}

// lifetime returns the lifetime of a password in days.
func lifetime(days string) string {
	if days == "0" {
		return "NEVER"
	}
	return "INTERVAL " + days + " DAY"
}

// canonical formats JSON with sorted keys and without spaces, and keeps numbers as they are.
func canonical(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	return encode(v)
}

func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}
