package account

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The grant tables say what a server will know after a restart, SHOW GRANTS and SHOW CREATE USER what it knows now, and the
// two can differ: after somebody wrote to the tables, or where the memory keeps what a statement took from the tables. So
// the two accounts of a pair are compared by both. What the lines mean need not be understood for that, and nothing of
// them is run.

// shownGrants reads SHOW GRANTS in a form that two accounts with equal rights have in common.
func (a *Admin) shownGrants(ctx context.Context, n Name) ([]string, error) {
	rows, err := a.query(ctx, "SHOW GRANTS FOR "+n.String())
	if err != nil {
		return nil, fmt.Errorf("show the grants of %s: %w", n, a.deniedRead(err))
	}
	var lines []string
	for _, r := range rows {
		for _, v := range r {
			lines = append(lines, normalLine(v.String, n))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// shownExpiry reads the rule by which an account's password expires out of SHOW CREATE USER: the one property that is known
// to stay in MySQL's memory after it left the table. It is empty for an account expired by hand, which shows no rule.
func (a *Admin) shownExpiry(ctx context.Context, n Name) (string, error) {
	rows, err := a.query(ctx, "SHOW CREATE USER "+n.String())
	if err != nil {
		return "", fmt.Errorf("show %s: %w", n, a.deniedRead(err))
	}
	rule := ""
	for _, r := range rows {
		for _, v := range r {
			for _, rule = range expiryRule.FindAllString(v.String, -1) {
				continue // to the last: texts of the TLS requirement come before it
			}
		}
	}
	return rule, nil
}

var expiryRule = regexp.MustCompile(`PASSWORD EXPIRE (DEFAULT|NEVER|INTERVAL \d+ DAY)`)

// normalLine takes a line's grantee and what follows him away, but for the options, and sorts the line's lists, which
// have no order of their own. It need not be exact where no server's line can be.
func normalLine(line string, n Name) string {
	own := quoteIdentifier(n.User) + "@" + quoteIdentifier(n.Host)
	for _, word := range []string{" TO ", " FROM ", " FOR "} {
		// The first is the grantee: within an identifier its backticks would be doubled, literals come later.
		before, after, ok := strings.Cut(line, word+own)
		if !ok {
			continue
		}
		options := ""
		for _, o := range []string{" WITH GRANT OPTION", " WITH ADMIN OPTION"} {
			if strings.Contains(after, o) {
				options += o
			}
		}
		line = before + word + options
		break
	}
	items := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(",()", r) })
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	slices.Sort(items)
	return strings.Join(items, ", ")
}

// shownDifferences lists what only one of two accounts has by what the server shows.
func (a *Admin) shownDifferences(ctx context.Context, source, standby Name) ([]string, error) {
	xs, err := a.shownGrants(ctx, source)
	if err != nil {
		return nil, err
	}
	ys, err := a.shownGrants(ctx, standby)
	if err != nil {
		return nil, err
	}
	if !a.server.mariadb {
		x, err := a.shownExpiry(ctx, source)
		if err != nil {
			return nil, err
		}
		y, err := a.shownExpiry(ctx, standby)
		if err != nil {
			return nil, err
		}
		if x != "" && y != "" {
			xs, ys = append(xs, x), append(ys, y)
		}
	}
	return only(source, xs, standby, ys), nil
}

// only lists the lines that only one of two accounts has, readable.
func only(x Name, xs []string, y Name, ys []string) []string {
	var lines []string
	for _, side := range []struct {
		who         Name
		have, other []string
	}{{x, xs, ys}, {y, ys, xs}} {
		other := setOf(side.other...)
		for _, line := range side.have {
			if !other[line] {
				lines = append(lines, fmt.Sprintf("only %s: %s", side.who, line))
			}
		}
	}
	return lines
}
