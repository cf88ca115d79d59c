package main

import (
	"strings"
	"testing"
)

func TestStatementsAreNamedInWords(t *testing.T) {
	for digest, want := range map[string]string{
		"SELECT `CURRENT_USER` ( ) AS `me` , `GET_LOCK` ( CONCAT (...) , ? ) AS `got0` FROM `mysql` . `user`":  "take the lock of both accounts",
		"SELECT `RELEASE_ALL_LOCKS` ( ) AS `released`":                                                         "release it",
		"ALTER SYSTEM_USER ? @? IDENTIFIED BY ?":                                                               "set the password, which the server hashes",
		"ALTER SYSTEM_USER ? @? IDENTIFIED WITH `caching_sha2_password` AS ? ACCOUNT UNLOCK":                   "set the password by its hash",
		"ALTER SYSTEM_USER ? @? IDENTIFIED VIA `mysql_native_password` USING ? ACCOUNT UNLOCK":                 "set the password by its hash",
		"SELECT ? AS `kind` , ? AS `c0` , ? AS `c1`  FROM DUAL WHERE FALSE UNION ALL SELECT IF ( `alter_priv`": "rights of both accounts",
		"SELECT * FROM `mysql` . `user` WHERE HOST = ? AND SYSTEM_USER = ? OR HOST = ? AND SYSTEM_USER = ?":    "both accounts, by name and host",
		"SELECT * FROM `mysql` . `global_priv` WHERE HOST = ? AND SYSTEM_USER = ?":                             "one account, by name and host",
		"SELECT `a` | `b`  FROM `t`": "`SELECT a \\| b FROM t`", // nothing is hidden
	} {
		if got := statementName(digest); got != want {
			t.Errorf("%s: got %q, want %q", digest, got, want)
		}
	}
}

func TestStatementsTableSetsTheStepsBesideTheRawLimit(t *testing.T) {
	steps := &measured{samples: samples{8, 9, 10}, rounds: []costs{
		{"read": {2, 1}, "call: Get": {1, 3}}, {"read": {2, 2}, "call: Get": {1, 4}}, {"read": {5, 50}},
	}}
	limit := &measured{samples: samples{4, 5, 6}, rounds: []costs{{"set": {1, 3}}}}
	got := statementsTable(steps, limit)
	for _, want := range []string{
		"| read | 3 | 0.67 | 2.00 | 0 | 0.00 |",
		"| set | 0 | 0.00 | 0.00 | 1 | 3.00 |",
		"| call: Get | 0.6667 |",
		"| all, as the worker sees it, median | | | 9.00 | | 5.00 |",
		"The steps take 1.80 times the raw limit.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
