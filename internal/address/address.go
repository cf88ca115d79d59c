// Package address parses the addresses of servers.
package address

import (
	"errors"
	"strconv"
	"strings"
)

// Parse splits a server's host:port. An IPv6 address must be in brackets, as in "[::1]:3306".
// Workflows may call Parse, because it only looks at the text.
func Parse(text string) (name string, number int, err error) {
	i := strings.LastIndexByte(text, ':')
	n, err := strconv.ParseUint(text[i+1:], 10, 16)
	name, of := text[:max(i, 0)], ".-_abcdefghijklmnopqrstuvwxyz0123456789"
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name, ok = strings.CutSuffix(inner, "]")
		if of = ".:abcdef0123456789"; !ok {
			name = ""
		}
	}
	if err != nil || n == 0 || name == "" || strings.Trim(strings.ToLower(name), of) != "" {
		return "", 0, errors.New("must be host:port, such as reader.example.com:3306")
	}
	return name, int(n), nil
}
