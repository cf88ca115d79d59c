// Package secret is a user's secret in AWS Secrets Manager: its JSON, its
// versions and their staging labels.
//
// Values are never put into an error, and String and Format of a Credential
// leave its password out, so that a stray %v cannot print one.
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

// DefaultPort is MySQL's, for secrets that name none.
const DefaultPort = 3306

// Credential is the JSON of a secret as AWS defines it for MySQL and MariaDB.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
type Credential struct {
	Engine   string // mysql, aurora-mysql or mariadb
	Host     string // an IPv6 address is without its brackets; empty only after ParseMaster
	Port     int    // DefaultPort where the secret names none
	Username string
	Password string
	DBName   string
	// MasterARN names the administrator's secret; empty where the secret does not.
	MasterARN string
	// TLS is false only where the secret says "ssl": false.
	TLS bool

	raw  []byte
	bare bool // names no server
}

// SHA256 is the digest of the secret's whole text, in hexadecimal.
func (c Credential) SHA256() string {
	sum := sha256.Sum256(c.raw)
	return hex.EncodeToString(sum[:])
}

// SameBut reports whether two secrets say the same but for user name and password, however it is written: an editor, such
// as that of AWS's console, rewrites all of the JSON.
func (c Credential) SameBut(o Credential) bool {
	known := func(c Credential) Credential {
		c.Username, c.Password, c.raw = "", "", nil
		return c
	}
	return reflect.DeepEqual(known(c), known(o)) && reflect.DeepEqual(c.unknown(), o.unknown())
}

// unknown are the fields of the JSON that have no meaning here.
func (c Credential) unknown() map[string]any {
	var all map[string]any
	dec := json.NewDecoder(bytes.NewReader(c.raw))
	dec.UseNumber()
	if dec.Decode(&all) != nil { // Parse has read it
		return nil
	}
	for _, known := range []string{"engine", "host", "port", "username", "password", "dbname", "masterarn", "ssl"} {
		delete(all, known)
	}
	return all
}

// FieldError says which field of a secret's JSON is wrong. It never holds the
// field's value.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string {
	if e.Field == "" {
		return "the secret's value " + e.Problem
	}
	return fmt.Sprintf("field %q of the secret's value %s", e.Field, e.Problem)
}

// Parse reads the JSON of a secret. Every error is a *FieldError.
func Parse(data []byte) (Credential, error) { return parse(data, false) }

// ParseMaster is Parse for the secret of an administrator. It may name no server at all, as one that RDS manages: then Engine
// and Host are empty, and Port is 0.
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
			return &FieldError{name, "must be a text"}
		}
		if required && *into == "" {
			return &FieldError{name, "is empty"}
		}
		if strings.ContainsRune(*into, 0) {
			return &FieldError{name, "holds a NUL character"}
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

// parseOptions reads the fields that a secret may leave out and that are not texts.
func (c *Credential) parseOptions(pairs map[string]json.RawMessage) error {
	if v, ok := pairs["port"]; ok && string(v) != "null" {
		if c.Port, ok = port(v); !ok {
			return &FieldError{"port", "must be a whole number from 1 to 65535, or the same as a text"}
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

// NamesNoServer reports whether the value is that of an administrator's secret without engine, host and port.
func (c Credential) NamesNoServer() bool { return c.bare }

// New is the JSON of a new user's secret: the administrator's database, with
// its own credential.
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

// MaxBytes is the most that Secrets Manager stores as one value.
const MaxBytes = 65536

// With is the same JSON with another user name and password. Everything else
// in it stays as it is: unknown fields, their order, the way numbers are
// written.
func (c Credential) With(username, password string) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(c.raw))
	if _, err := dec.Token(); err != nil {
		return nil, &FieldError{"", "is no JSON object"}
	}
	var out []byte
	last := 0
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, &FieldError{"", "is no JSON object"}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, &FieldError{"", "is no JSON object"}
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

// Address is host:port in a form that is the same for every spelling of one host: a name is without case and final dot, as DNS
// compares names, and an IPv6 address is in its shortest form.
func (c Credential) Address() string {
	host := strings.ToLower(strings.TrimSuffix(c.Host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(c.Port))
}

// SameServer says whether both name one server: the same host and the same port.
func (c Credential) SameServer(other Credential) bool { return c.Address() == other.Address() }

// String names the user and the server and leaves the password out.
func (c Credential) String() string { return fmt.Sprintf("%s at %s", c.Username, c.Address()) }

// Format is String for every verb, %#v included.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(c.String())) }

// LogValue is String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON refuses: a credential goes to Secrets Manager by With, and
// nowhere else.
func (c Credential) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a credential is never encoded")
}

func members(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, &FieldError{"", "is no JSON object"}
	}
	pairs := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, &FieldError{"", "is no JSON object"}
		}
		key := name.(string)
		if _, twice := pairs[key]; twice {
			return nil, &FieldError{key, "is there twice"}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, &FieldError{"", "is no JSON object"}
		}
		pairs[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, &FieldError{"", "is no JSON object"}
	}
	if dec.More() {
		return nil, &FieldError{"", "goes on after its JSON object"}
	}
	return pairs, nil
}

// host checks the name or address of a server, and takes the brackets off an IPv6 address.
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
		return "", &FieldError{"host", "may hold an IPv6 address in brackets, and nothing else in brackets"}
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

// marshal writes <, > and & as they are: they are common in passwords, and a
// reader without a JSON library should still find them.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a secret's value: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
