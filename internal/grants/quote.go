package grants

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Everything that goes into a statement is quoted here, in one of three forms, because no form is right everywhere:
//
//   - identifiers in backticks hold in every sql_mode;
//   - values in expressions are hexadecimal literals wherever a backslash would make them depend on the sql_mode;
//   - literals where the grammar takes nothing but a literal (REQUIRE SUBJECT, ATTRIBUTE) need backslashes doubled,
//     which is right unless NO_BACKSLASH_ESCAPES is on: sessions of package account set an empty sql_mode.

// QuoteIdentifier quotes the name of a database, table, column, routine or plugin.
func QuoteIdentifier(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// QuoteUser quotes one part of an account's name. It uses a literal, because identifiers have at most 64 characters and MariaDB's user
// names may have more. Names with a backslash become identifiers, which keep it in every sql_mode.
func QuoteUser(s string) string {
	if strings.ContainsRune(s, '\\') && utf8.RuneCountInString(s) <= 64 {
		return QuoteIdentifier(s)
	}
	return QuoteLiteral(s)
}

// A Replacer is safe for many goroutines, and costs far more to make than to use.
var escapeLiteral = strings.NewReplacer(`'`, `''`, `\`, `\\`)

// QuoteLiteral quotes a text for the empty sql_mode; a text without backslashes for every one.
func QuoteLiteral(s string) string {
	return "'" + escapeLiteral.Replace(s) + "'"
}

// QuoteValue quotes a text for an expression in every sql_mode.
func QuoteValue(s string) string {
	if strings.ContainsRune(s, '\\') {
		return "_utf8mb4 0x" + hex.EncodeToString([]byte(s))
	}
	return QuoteLiteral(s)
}

// QuoteValues quotes a list for IN.
func QuoteValues(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = QuoteValue(v)
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}
