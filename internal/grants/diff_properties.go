package grants

import (
	"encoding/json"
	"strings"
)

// clauses are in the order of the grammar of CREATE USER and ALTER USER. Those under WITH are
// together.
var clauses = []string{
	"REQUIRE",
	"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS", "MAX_STATEMENT_TIME",
	"PASSWORD EXPIRE", "PASSWORD HISTORY", "PASSWORD REUSE INTERVAL", "PASSWORD REQUIRE CURRENT", "FAILED_LOGIN_ATTEMPTS",
	"ATTRIBUTE",
}

// spell writes the given clauses for a statement, each with a space before it.
func spell(values map[string]string) string {
	var b strings.Builder
	with := false
	for _, c := range clauses {
		value, ok := values[c]
		if !ok {
			continue
		}
		if strings.HasPrefix(c, "MAX_") && !with {
			b.WriteString(" WITH")
			with = true
		}
		if c == "ATTRIBUTE" {
			value = QuoteLiteral(value)
		}
		b.WriteString(strings.TrimRight(" "+c+" "+value, " "))
	}
	return b.String()
}

// properties makes one ALTER USER for all differences. ATTRIBUTE merges (RFC 7396), so a statement
// before it sets every key to null that should disappear or change.
//
// PASSWORD EXPIRE DEFAULT directly after an interval would change the table of MySQL 9.7 but not
// its memory.
func (d *differ) properties(staleExpiry bool) {
	values := map[string]string{}
	for clause, value := range d.source.properties {
		if d.result.properties[clause] != value {
			values[clause] = value
		}
	}
	if staleExpiry {
		values["PASSWORD EXPIRE"] = d.source.properties["PASSWORD EXPIRE"]
	}
	if len(values) == 0 {
		return
	}
	if patch := erase(d.result.properties["ATTRIBUTE"], values["ATTRIBUTE"]); patch != "" {
		d.step("ALTER USER "+d.name.String()+" ATTRIBUTE "+QuoteLiteral(patch),
			"remove attributes of "+d.name.String()+" that are to change: "+patch)
		if values["ATTRIBUTE"] == "{}" {
			delete(values, "ATTRIBUTE")
		}
	}
	if len(values) == 0 {
		return
	}
	interval := strings.HasPrefix(d.result.properties["PASSWORD EXPIRE"], "INTERVAL")
	if d.flavor.KeepsExpiryInMemory() && values["PASSWORD EXPIRE"] == "DEFAULT" && (interval || staleExpiry) {
		d.step("ALTER USER "+d.name.String()+" PASSWORD EXPIRE NEVER", "alter "+d.name.String()+": PASSWORD EXPIRE NEVER, before DEFAULT")
	}
	words := spell(values)
	d.step("ALTER USER "+d.name.String()+words, "alter "+d.name.String()+":"+words)
}

// erase returns the merge patch that removes everything from the attributes that should disappear
// or change, or "".
func erase(now, next string) string {
	if next == "" {
		return ""
	}
	var old, wanted map[string]json.RawMessage
	// Servers write only objects. Anything else would be found by the comparison after the change.
	_ = json.Unmarshal([]byte(now), &old)
	_ = json.Unmarshal([]byte(next), &wanted)
	patch := map[string]any{}
	for key, value := range old {
		if string(wanted[key]) != string(value) {
			patch[key] = nil
		}
	}
	if len(patch) == 0 {
		return ""
	}
	text, _ := encode(patch)
	return text
}
