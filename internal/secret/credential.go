// Package secret reads and writes a user's secret in AWS Secrets Manager: its JSON, its versions
// and their staging labels.
//
// Errors never contain a secret's value. String and Format of a Credential leave the password out,
// so that a stray %v cannot print it.
package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DefaultPort is MySQL's port, which applies to secrets that name none.
const DefaultPort = 3306

// Credential is a secret's JSON as AWS defines it for MySQL and MariaDB:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
type Credential struct {
	Engine   string // mysql, aurora-mysql or mariadb
	Host     string // an IPv6 address has no brackets; empty only after ParseMaster
	Port     int    // DefaultPort if the secret names none
	Username string
	Password string
	DBName   string
	// MasterARN names the master secret. It is empty if the secret does not name one.
	MasterARN string
	// TLS is true unless the secret says "ssl": false.
	TLS bool

	raw  []byte
	bare bool // names no server
}

// SHA256 returns the digest of the secret's whole text, in hexadecimal.
func (c Credential) SHA256() string {
	sum := sha256.Sum256(c.raw)
	return hex.EncodeToString(sum[:])
}

// SameBut reports whether two secrets are equal except for user name and password. The layout of
// the JSON does not matter, because editors such as AWS's console rewrite all of it.
func (c Credential) SameBut(o Credential) bool {
	known := func(c Credential) Credential {
		c.Username, c.Password, c.raw = "", "", nil
		return c
	}
	return reflect.DeepEqual(known(c), known(o)) && reflect.DeepEqual(c.unknown(), o.unknown())
}

// unknown returns the fields of the JSON that this program does not use.
func (c Credential) unknown() map[string]any {
	var all map[string]any
	dec := json.NewDecoder(bytes.NewReader(c.raw))
	dec.UseNumber()
	if dec.Decode(&all) != nil { // cannot happen: Parse has read it
		return nil
	}
	for _, known := range []string{"engine", "host", "port", "username", "password", "dbname", "masterarn", "ssl"} {
		delete(all, known)
	}
	return all
}

// FieldError reports which field of a secret's JSON is wrong. It never contains the field's value.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string {
	if e.Field == "" {
		return "the secret's value " + e.Problem
	}
	return fmt.Sprintf("field %q of the secret's value %s", e.Field, e.Problem)
}

// Parse parses the JSON of a secret. Every error is a *FieldError, or several of them joined.
func Parse(data []byte) (Credential, error) { return parse(data, false) }

// ParseMaster is Parse for a master secret. A master secret need not name a server, and one that
// RDS manages does not: then Engine and Host are empty, and Port is 0.
func ParseMaster(data []byte) (Credential, error) { return parse(data, true) }

func parse(data []byte, master bool) (Credential, error) {
	if !utf8.Valid(data) {
		return Credential{}, &FieldError{"", "is not UTF-8 text"}
	}
	pairs, err := members(data)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{Port: DefaultPort, TLS: true, raw: data}
	c.bare = master
	for _, field := range []string{"engine", "host", "port"} {
		if v, ok := pairs[field]; ok && string(v) != "null" {
			c.bare = false
		}
	}
	text := func(name string, into *string, required bool) error {
		v, ok := pairs[name]
		if !ok || string(v) == "null" {
			if required {
				return &FieldError{name, "is missing"}
			}
			return nil
		}
		if json.Unmarshal(v, into) != nil {
			return &FieldError{name, "must be a string"}
		}
		if required && *into == "" {
			return &FieldError{name, "is empty"}
		}
		if strings.ContainsRune(*into, 0) {
			return &FieldError{name, "contains a NUL character"}
		}
		return nil
	}
	err = errors.Join(
		text("engine", &c.Engine, !c.bare),
		text("host", &c.Host, !c.bare),
		text("username", &c.Username, true),
		text("password", &c.Password, true),
		text("dbname", &c.DBName, false),
		text("masterarn", &c.MasterARN, false),
	)
	if err != nil {
		return Credential{}, err
	}
	if c.bare {
		c.Port = 0
	} else if err := c.server(); err != nil {
		return Credential{}, err
	}
	if err := c.parseOptions(pairs); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// parseOptions parses the optional fields that are not strings.
func (c *Credential) parseOptions(pairs map[string]json.RawMessage) error {
	if v, ok := pairs["port"]; ok && string(v) != "null" {
		if c.Port, ok = port(v); !ok {
			return &FieldError{"port", "must be a whole number from 1 to 65535, or a string that contains one"}
		}
	}
	if v, ok := pairs["ssl"]; ok && string(v) != "null" {
		switch strings.ToLower(string(v)) {
		case "true", `"true"`:
		case "false", `"false"`:
			c.TLS = false
		default:
			return &FieldError{"ssl", "must be true or false"}
		}
	}
	return nil
}

// server checks engine and host.
func (c *Credential) server() (err error) {
	switch c.Engine {
	case "mysql", "aurora-mysql", "mariadb":
	default:
		return &FieldError{"engine", "must be mysql, aurora-mysql or mariadb"}
	}
	c.Host, err = host(c.Host)
	return err
}

// NamesNoServer reports whether the value came from a master secret without engine, host and port.
func (c Credential) NamesNoServer() bool { return c.bare }

// New returns the JSON of a new user's secret: the master secret's database with the user's own
// credential.
func New(master Credential, masterARN, username, password, dbname string) ([]byte, error) {
	value := struct {
		Engine    string `json:"engine"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Username  string `json:"username"`
		Password  string `json:"password"`
		DBName    string `json:"dbname,omitempty"`
		MasterARN string `json:"masterarn"`
		SSL       *bool  `json:"ssl,omitempty"`
	}{master.Engine, master.Host, master.Port, username, password, dbname, masterARN, nil}
	if !master.TLS {
		value.SSL = new(bool)
	}
	return marshal(value)
}

// MaxBytes is the longest value that Secrets Manager stores.
const MaxBytes = 65536

// With returns the same JSON with another user name and password. Everything else is unchanged,
// including unknown fields, their order, and how numbers are written.
func (c Credential) With(username, password string) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(c.raw))
	if _, err := dec.Token(); err != nil {
		return nil, &FieldError{"", "is not a JSON object"}
	}
	var out []byte
	last := 0
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, &FieldError{"", "is not a JSON object"}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, &FieldError{"", "is not a JSON object"}
		}
		var replacement string
		switch name {
		case "username":
			replacement = username
		case "password":
			replacement = password
		default:
			continue
		}
		text, err := marshal(replacement)
		if err != nil {
			return nil, fmt.Errorf("encode a credential: %w", err)
		}
		end := int(dec.InputOffset())
		out = append(out, c.raw[last:end-len(value)]...)
		out = append(out, text...)
		last = end
	}
	return append(out, c.raw[last:]...), nil
}

// Address returns host:port, in the same form for every spelling of one host: a name is in lower
// case without a final dot, because DNS ignores both, and an IPv6 address is in its shortest form.
func (c Credential) Address() string {
	host := strings.ToLower(strings.TrimSuffix(c.Host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(c.Port))
}

// SameServer reports whether both name the same host and port.
func (c Credential) SameServer(other Credential) bool { return c.Address() == other.Address() }

// String returns the user and the server without the password.
func (c Credential) String() string { return fmt.Sprintf("%s at %s", c.Username, c.Address()) }

// Format writes String for every verb, including %#v.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(c.String())) }

// LogValue returns String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON always fails: a credential is written only to Secrets Manager, and only by With.
func (c Credential) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a credential must not be encoded: use With")
}

func members(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, &FieldError{"", "is not a JSON object"}
	}
	pairs := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, &FieldError{"", "is not a JSON object"}
		}
		key := name.(string)
		if _, twice := pairs[key]; twice {
			return nil, &FieldError{key, "occurs twice"}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, &FieldError{"", "is not a JSON object"}
		}
		pairs[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, &FieldError{"", "is not a JSON object"}
	}
	if dec.More() {
		return nil, &FieldError{"", "continues after its JSON object"}
	}
	return pairs, nil
}

// host checks a server's name or address, and removes the brackets of an IPv6 address.
func host(text string) (string, error) {
	inner, open := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	ip, err := netip.ParseAddr(inner)
	switch {
	case err == nil && ip.Is6() && open == closed:
		return inner, nil
	case strings.ContainsAny(text, "/ ()@\\\t\r\n"):
		return "", &FieldError{"host", "must be a host name or an IP address"}
	case strings.Contains(text, ":") && !open && !closed, strings.Contains(text, "]:"):
		return "", &FieldError{"host", `must be a host name or an IP address without a port: put the port into the field "port"`}
	case strings.ContainsAny(text, "[]:"):
		return "", &FieldError{"host", "must not contain brackets, except around an IPv6 address"}
	}
	return text, nil
}

func port(v json.RawMessage) (int, bool) {
	s := string(v)
	if len(s) > 1 && s[0] == '"' {
		if json.Unmarshal(v, &s) != nil {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}

// marshal does not escape <, > and &: they are common in passwords, and should be readable without
// a JSON library.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a secret's value: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
