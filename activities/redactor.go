package activities

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// redactor removes passwords from texts. Each run of an activity has its own.
type redactor struct {
	mu        sync.Mutex
	passwords []remembered
}

// remembered is a password that is redacted.
type remembered struct {
	password  string
	forms     []string // see spellings
	guessable bool
}

// remember adds a password to those that are redacted.
func (r *redactor) remember(password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if password != "" && !slices.ContainsFunc(r.passwords, func(p remembered) bool { return p.password == password }) {
		r.passwords = append(r.passwords, remembered{password, spellings(password), guessable(password)})
	}
}

func (r *redactor) remembered() []remembered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.passwords)
}

const (
	redacted = "[password]"
	// withheld replaces a text that would give a password away even with the password taken out.
	withheld = "this text is withheld because it contains a password that could be guessed from the gap: " +
		"look up the error's type in docs/reference.md, and give the user and the administrator long, random passwords"
)

// guessable reports whether a password may occur in a text by chance, such as "rot" in "rotating".
// If it were removed from a text that is otherwise known, the gap would reveal it. A generated
// password is never guessable.
func guessable(password string) bool {
	return utf8.RuneCountInString(password) < 12 || !strings.ContainsFunc(password, unicode.IsLower) ||
		!strings.ContainsFunc(password, unicode.IsUpper) || !strings.ContainsFunc(password, unicode.IsDigit)
}

// backslashed quotes a text for SQL with backslashes. It is built once, because building it takes
// longer than using it.
var backslashed = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// spellings returns the different forms that a password takes when it is quoted, longest first.
func spellings(password string) []string {
	quoted := strconv.Quote(password)
	inJSON, _ := json.Marshal(password)
	forms := []string{
		password, quoted[1 : len(quoted)-1], string(inJSON[1 : len(inJSON)-1]), url.QueryEscape(password), url.PathEscape(password),
		strings.ReplaceAll(password, `'`, `''`), backslashed.Replace(password),
	}
	slices.SortFunc(forms, longestFirst)
	return slices.Compact(forms)
}

// longestFirst orders texts, so that no text is replaced before one that it is part of.
func longestFirst(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }

// redact removes every remembered password, in each of its spellings, from a text. It withholds the
// whole text if that contains a guessable password.
func (r *redactor) redact(text string) string {
	var all []string
	for _, p := range r.remembered() {
		if p.guessable && slices.ContainsFunc(p.forms, func(s string) bool { return strings.Contains(text, s) }) {
			return withheld
		}
		all = append(all, p.forms...)
	}
	slices.SortFunc(all, longestFirst)
	for _, p := range all {
		text = strings.ReplaceAll(text, p, redacted)
	}
	return text
}

// values redacts the values of a log line or a heartbeat. A value of a type that could contain text
// becomes text.
func (r *redactor) values(all []any) []any {
	safe := make([]any, len(all))
	for i, v := range all {
		switch v := v.(type) {
		case nil, bool, int, int32, int64, uint16, uint32, uint64, float64, time.Time, time.Duration:
			safe[i] = v
		case error:
			safe[i] = r.errorText(v)
		default:
			safe[i] = r.redact(fmt.Sprint(v))
		}
	}
	return safe
}

// result returns an activity's result unchanged unless a remembered password occurs in it. No
// activity returns a password on purpose, but results contain texts from servers and names of
// programs. A guessable password is not removed: it may be a name.
func (r *redactor) result(result any) any {
	encoded, err := json.Marshal(result)
	if err != nil {
		return result
	}
	var all []string
	for _, p := range r.remembered() {
		if !p.guessable {
			all = append(all, p.forms...)
		}
	}
	slices.SortFunc(all, longestFirst)
	found := false
	for _, p := range all {
		inJSON, _ := json.Marshal(p)
		inJSON = inJSON[1 : len(inJSON)-1]
		found = found || bytes.Contains(encoded, inJSON)
		encoded = bytes.ReplaceAll(encoded, inJSON, []byte(redacted))
	}
	if !found {
		return result
	}
	return json.RawMessage(encoded)
}

// statement matches the parts of a text that quotes SQL or a DSN that may contain a password or a
// hash.
var statement = regexp.MustCompile(`(?i)(identified\s.*|\bpassword\s*[=(:].*|\b(set|alter|create)\s+(user|password)\b.*|\bgrant\s.*\sto\s.*|[^\s:@/]+:[^\s@]*@(tcp|unix)?\(.*|0x[0-9a-f]{16,}|\$[AB5]\$.*)`)

// errorText returns the text of an error so that it can be stored for years: it leaves out
// passwords, and whatever a server or a library may have quoted.
func (r *redactor) errorText(err error) string {
	text := err.Error()
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		safe := fmt.Sprintf("MySQL error %d (%s)", server.Number, server.SQLState)
		if slices.Contains(quotable, server.Number) {
			safe += ": " + server.Message
		}
		text = strings.ReplaceAll(text, server.Error(), safe)
	}
	var api smithy.APIError
	var unsigned *secret.CredentialsError
	if errors.As(err, &unsigned) {
		return r.redact(cut(text, "operation error") + unsigned.Error())
	}
	if errors.As(err, &api) {
		safe := api.ErrorCode()
		if _, ok := awsVerdicts[safe]; ok && safe != "ValidationException" {
			safe += ": " + api.ErrorMessage()
		}
		text = cut(text, "operation error") + safe
	}
	var refused *grants.Refusal
	var field *secret.FieldError
	var moved *secret.MovedError
	var taken *secret.TakenError
	if !errors.As(err, &taken) && !errors.As(err, &refused) && !errors.As(err, &field) && !errors.As(err, &moved) {
		text = strings.ReplaceAll(text, leaf(err), statement.ReplaceAllString(leaf(err), "[left out]"))
	}
	return r.redact(text)
}

// leaf returns the text of the last error in the chain, which a library or a server wrote. The text
// before it is ours, and may mention grants and accounts.
func leaf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// cut removes the part of the text that the SDK wrote, which begins with mark.
func cut(text, mark string) string {
	before, _, _ := strings.Cut(text, mark)
	return before
}
