package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/rotation"
)

// inspect checks what must be true after any rotation, however it ended. was has the labels before
// it. edited reports whether another actor wrote a value in the meantime.
func (s *subject) inspect(ctx context.Context, rotated rotation.Rotation, was map[string]string, edited bool) {
	r := s.lane.report
	now, err := s.labels(ctx)
	if err != nil {
		r.violate("%s: cannot read its labels: %v", s.user, err)
		return
	}
	switch {
	case rotated.Error != "":
		if now[current] != was[current] && !edited {
			r.violate("%s: the rotation failed (%s: %s), and AWSCURRENT is %s, not %s as before", s.user, rotated.ErrorType, rotated.Error,
				now[current], was[current])
		}
		if rotated.ErrorType == "" || rotated.ErrorType == "Unknown" {
			r.violate("%s: the failure has no reason: %q: %s", s.user, rotated.ErrorType, rotated.Error)
		}
	case edited:
	default:
		if now[current] != rotated.VersionID {
			r.violate("%s: the rotation made version %s, and AWSCURRENT is %s", s.user, rotated.VersionID, now[current])
		}
		if now[pending] != "" && now[pending] != now[current] {
			r.violate("%s: AWSPENDING is left on version %s", s.user, now[pending])
		}
		s.alike(ctx)
	}
	s.logsIn(ctx, current)
}

func (s *subject) logsIn(ctx context.Context, label string) {
	c, err := s.read(ctx, label)
	if err == nil {
		err = s.lane.persist(ctx, func() error { return s.lane.query(ctx, c) })
	}
	if err != nil && ctx.Err() == nil {
		s.lane.report.violate("%s: %s does not log in after a rotation: %v", s.user, label, err)
	}
}

// finished checks what must be true after a rotation without a fault that succeeded: nothing of the
// old state is left.
func (s *subject) finished(ctx context.Context) {
	r := s.lane.report
	labels, err := s.labels(ctx)
	if err != nil {
		r.violate("%s: cannot read its labels: %v", s.user, err)
		return
	}
	// The worker removes it from the promoted version when it has been quiet for a while.
	for end := time.Now().Add(5 * time.Second); labels[pending] == labels[current] && time.Now().Before(end); {
		wait(ctx, 200*time.Millisecond)
		if labels, err = s.labels(ctx); err != nil {
			r.violate("%s: cannot read its labels: %v", s.user, err)
			return
		}
	}
	switch labels[pending] {
	case "":
	case labels[current]:
		r.untidied()
	default:
		r.leftLabel()
		r.violate("%s: AWSPENDING is left on version %s; AWSCURRENT is %s", s.user, labels[pending], labels[current])
	}
	if labels[previous] == "" || labels[previous] == labels[current] {
		r.violate("%s: AWSPREVIOUS is %q, AWSCURRENT %q", s.user, labels[previous], labels[current])
	}
	s.logsIn(ctx, current)
	s.logsIn(ctx, previous)
	var users []string
	for _, label := range []string{current, previous} {
		if c, err := s.read(ctx, label); err == nil {
			users = append(users, c.Username)
		}
	}
	slices.Sort(users)
	if want := []string{s.user, s.user + "_clone"}; !slices.Equal(users, want) {
		r.violate("%s: the versions are for users %q", s.user, users)
	}
	s.alike(ctx)
}

// alike compares the accounts of the pair.
func (s *subject) alike(ctx context.Context) {
	a, err := s.lane.account(ctx, s.user)
	if err != nil {
		s.lane.report.violate("%s: %v", s.user, err)
		return
	}
	b, err := s.lane.account(ctx, s.user+"_clone")
	if err != nil {
		s.lane.report.violate("%s: %v", s.user, err)
		return
	}
	if !slices.Equal(a, b) {
		s.lane.report.violate("%s: the accounts differ: %q and %q", s.user, a, b)
	}
}

var hash = regexp.MustCompile(`(?s) (AS|USING|BY PASSWORD) '(?:[^'\\]|\\.|'')*'`)

// account returns everything that the database shows about an account except its password, in a
// form that is the same for both accounts of a pair.
func (w *world) account(ctx context.Context, user string) ([]string, error) {
	var lines []string
	for _, statement := range []string{"SHOW CREATE USER '" + user + "'@'%'", "SHOW GRANTS FOR '" + user + "'@'%'"} {
		err := w.persist(ctx, func() error {
			rows, err := w.admin.QueryContext(ctx, statement)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var text string
				if err := rows.Scan(&text); err != nil {
					return err
				}
				text = hash.ReplaceAllString(text, " $1 ?")
				lines = append(lines, strings.NewReplacer("'"+user+"'", "U", "`"+user+"`", "U").Replace(text))
			}
			return rows.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	if strings.Contains(lines[0], "ACCOUNT LOCK") {
		w.report.locked()
		w.report.violate("the account of %s is locked", user)
	}
	slices.Sort(lines[1:])
	return lines, nil
}

// leftovers counts what must not remain after the run: accounts other than those of pairs, second
// passwords, and the masters' sessions, whose locks would outlive the workers.
func (w *world) leftovers(ctx context.Context) error {
	count := func(into *int, query string) error {
		return w.persist(ctx, func() error {
			var n sql.NullInt64
			err := w.admin.QueryRowContext(ctx, query).Scan(&n)
			*into = int(n.Int64)
			return err
		})
	}
	if err := count(&w.report.Accounts, "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'user\\_%'"); err != nil {
		return err
	}
	if err := count(&w.report.LeftAccounts, "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'user\\_%'"+
		" AND (Host <> '%' OR User NOT REGEXP '^user_[0-9]+_[0-9]+(_clone)?$')"); err != nil {
		return err
	}
	for try := 1; ; try++ { // the server needs a moment to notice that a connection has ended
		if err := count(&w.report.LeftSessions, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER LIKE 'master\\_%'"); err != nil {
			return err
		}
		if w.report.LeftSessions == 0 || try == 50 {
			break
		}
		wait(ctx, 200*time.Millisecond)
	}
	second := 0
	if w.database.Engine == mysqld.MySQL {
		if err := count(&second, "SELECT COUNT(*) FROM mysql.user WHERE User_attributes->>'$.additional_password' IS NOT NULL"); err != nil {
			return err
		}
	}
	if w.report.LeftAccounts+w.report.LeftSessions+second > 0 {
		w.report.violate("leftovers: %d accounts, %d sessions of masters, %d second passwords", w.report.LeftAccounts, w.report.LeftSessions,
			second)
	}
	return nil
}
