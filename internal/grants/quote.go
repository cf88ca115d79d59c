package grants

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Everything in a statement is quoted here, in one of three forms, because no form works
// everywhere:
//
//   - identifiers in backticks work in every sql_mode;
//   - values in expressions are hexadecimal literals if they contain a backslash, which would depend on the sql_mode;
//   - literals where the grammar allows only a literal (REQUIRE SUBJECT, ATTRIBUTE) have their
// backslashes doubled, which is correct unless NO_BACKSLASH_ESCAPES is on. Sessions of package
// account set an empty sql_mode.

// QuoteIdentifier quotes the name of a database, table, column, routine or plugin.
func QuoteIdentifier(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// QuoteUser quotes one part of an account's name as a literal, because identifiers have at most 64
// characters and MariaDB's user names may be longer. Names with a backslash become identifiers, in
// which it is literal in every sql_mode.
func QuoteUser(s string) string {
	if strings.ContainsRune(s, '\\') && utf8.RuneCountInString(s) <= 64 {
		return QuoteIdentifier(s)
	}
	return QuoteLiteral(s)
}

// A Replacer is safe for concurrent use, and costs far more to create than to use.
var escapeLiteral = strings.NewReplacer(`'`, `''`, `\`, `\\`)

// QuoteLiteral quotes text for the empty sql_mode. Text without backslashes works in every
// sql_mode.
func QuoteLiteral(s string) string {
	return "'" + escapeLiteral.Replace(s) + "'"
}

// QuoteValue quotes text for an expression in every sql_mode.
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
