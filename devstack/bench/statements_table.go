package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// statementNames names a statement by a part of its digest. The first part that it has counts.
var statementNames = []struct{ part, name string }{
	{"GET_LOCK (", "take the lock of both accounts"},
	{"SELECT RELEASE_ALL_LOCKS", "release it"},
	{"SHOW GRANTS FOR", "the server's memory: `SHOW GRANTS`"},
	{"SHOW CREATE SYSTEM_USER", "the server's memory: `SHOW CREATE USER`"},
	{"IDENTIFIED BY ?", "set the password, which the server hashes"},
	{"IDENTIFIED WITH", "set the password by its hash"},
	{"IDENTIFIED VIA", "set the password by its hash"},
	{"PROCESSLIST", "sessions of the standby"},
	{"AS kind , ? AS c0", "rights of both accounts"},
	{"VERSION ( ) , CONNECTION_ID ( )", "who is logged in"},
	{"DISTINCTROW HOST FROM mysql .", "both accounts, by user name on all hosts"},
	{"WHERE HOST = ? AND SYSTEM_USER = ? OR", "both accounts, by name and host"},
	{"WHERE HOST = ? AND SYSTEM_USER = ?", "one account, by name and host"},
	{"SELECT @@GLOBAL .", "settings of the server, once a minute"},
	{"FROM information_schema . COLUMNS", "columns of the grant tables, once a minute"},
}

// statementName returns words for a digest, or its text if no words are known.
func statementName(digest string) string {
	plain := strings.Join(strings.Fields(strings.ReplaceAll(digest, "`", "")), " ")
	for _, n := range statementNames {
		if strings.Contains(plain, n.part) {
			return n.name
		}
	}
	return "`" + strings.ReplaceAll(plain, "|", `\|`) + "`"
}

// of returns how often a round does something, on average, and the median of its time in a round.
func (m *measured) of(of func(costs) cost) (count, ms float64) {
	var times samples
	for _, round := range m.rounds {
		c := of(round)
		count += float64(c.count) / float64(len(m.rounds))
		times = append(times, c.ms)
	}
	return count, times.median()
}

// statementsTable prints what the steps do, most expensive first, next to the raw limit.
func statementsTable(steps, limit *measured) string {
	names := map[string]float64{}
	for _, round := range slices.Concat(limit.rounds, steps.rounds) {
		for name := range round {
			_, names[name] = steps.of(func(c costs) cost { return c[name] })
		}
	}
	sorted := slices.SortedFunc(maps.Keys(names), func(x, y string) int {
		call := func(name string) int { return strings.Index(name, "call: ") } // statements first
		return cmp.Or(cmp.Compare(call(x), call(y)), cmp.Compare(names[y], names[x]), cmp.Compare(x, y))
	})
	var t strings.Builder
	t.WriteString("| | per rotation | ms each | ms per rotation | raw limit | its ms |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	line := func(name string, of func(costs) cost) {
		n, ms := steps.of(of)
		limitN, limitMS := limit.of(of)
		fmt.Fprintf(&t, "| %s | %.4g | %.2f | %.2f | %.4g | %.2f |\n", name, n, ms/max(n, 1), ms, limitN, limitMS)
	}
	for _, name := range sorted {
		line(name, func(c costs) cost { return c[name] })
	}
	sum := func(calls bool) func(costs) cost {
		return func(c costs) (all cost) {
			for name, one := range c {
				if strings.HasPrefix(name, "call: ") == calls {
					all = cost{all.count + one.count, all.ms + one.ms}
				}
			}
			return all
		}
	}
	line("all statements, in the server; logins are not statements", sum(false))
	line("all calls of Secrets Manager, as the worker sees them", sum(true))
	s, l := steps.median(), limit.median()
	fmt.Fprintf(&t, "| all, as the worker sees it, median | | | %.2f | | %.2f |\n\nThe steps take %.2f times the raw limit.\n", s, l, s/l)
	return t.String()
}
