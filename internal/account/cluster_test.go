package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

// member is one server of a group.
type member struct {
	*mysqld.Server
	db *sql.DB
}

func (m member) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := m.db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %s: %v", m.Server, s, err)
		}
	}
}

// until waits until a query returns a number other than zero.
func (m member) until(ctx context.Context, query string) error {
	for {
		var n int
		if err := m.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		if n > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", query, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// startGroup starts members of a group.
func startGroup(t *testing.T, size int, primaries mysqld.Primaries) []member {
	t.Helper()
	var group []member
	for _, s := range mysqldtest.Group(t, size, primaries) {
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		group = append(group, member{s, db})
	}
	return group
}

func TestPasswordIsSetOnAllMembersOfAGroup(t *testing.T) {
	group := startGroup(t, 3, mysqld.OnePrimary)
	primary, behind := group[0], group[1]
	primary.exec(t, "CREATE USER app@'%' IDENTIFIED BY 'old', app_2@'%' IDENTIFIED BY 'old'")
	if err := behind.until(t.Context(), "SELECT COUNT(*) FROM mysql.user WHERE User = 'app_2'"); err != nil {
		t.Fatal(err)
	}
	primary.exec(t, "SET GLOBAL group_replication_consistency = 'AFTER'") // our sessions override it
	roots, err := primary.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	dialer := &Dialer{RootCAs: roots}
	defer dialer.Close()
	admin, err := dialer.Admin(t.Context(), Endpoint{Host: primary.Host, Port: primary.Port, TLS: true}, primary.AdminUser,
		primary.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()

	n := grants.Name{User: "app_2", Host: "%"}
	_, err = adminOf(t, behind.Server, behind.AdminUser, behind.AdminPassword).SetPassword(t.Context(), n, n, "x", nil)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("only on the writer, so set the secret's host to that, "+
		"which is 127.0.0.1:%d", primary.Port)) {
		t.Errorf("a password is set on a secondary: %v", err)
	}

	// A backup holds one member's applier. Neither the change nor a login on the primary may wait
	// for it.
	holder, err := behind.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}
	const password = "a new password of the account, 1"
	atOnce, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if _, err := admin.SetPassword(atOnce, n, n, password, nil); err != nil {
		t.Fatal("while a member is held:", err)
	}
	if _, err := dialer.Login(atOnce, Endpoint{Host: primary.Host, Port: primary.Port, TLS: true}, "app_2", password); err != nil {
		t.Error("while a member is held:", err)
	}
	ctx, done := context.WithCancelCause(t.Context())
	awaited := make(chan error, 1)
	go func() {
		stand, err := admin.AwaitNodes(t.Context(), n, n, password, nil)
		if err == nil && (stand.Unasked != nil || stand.Mended != nil) {
			err = fmt.Errorf("members are not asked at their own addresses: %+v", stand)
		}
		awaited <- err
		done(errors.Join(errors.New("no one waits for a member that is held"), err))
	}()
	if err := behind.until(ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST"+
		" WHERE STATE LIKE 'Executing hook on transaction begin%'"); err != nil {
		t.Error(context.Cause(ctx))
	}
	if _, err := holder.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if err := <-awaited; err != nil {
		t.Fatal(err)
	}
	for _, m := range group {
		roots, err := m.RootCAs()
		if err != nil {
			t.Fatal(err)
		}
		d := &Dialer{RootCAs: roots}
		if _, err := d.Login(t.Context(), Endpoint{Host: m.Host, Port: m.Port, TLS: true}, "app_2", password); err != nil {
			t.Errorf("%s: %v", m.Server, err)
		}
	}

	primary.exec(t, "CREATE USER limited@localhost IDENTIFIED BY 'limited'", "GRANT CREATE USER ON *.* TO limited@localhost",
		"GRANT SELECT ON mysql.* TO limited@localhost")
	limited := adminOf(t, primary.Server, "limited", "limited")
	if _, err := limited.Stored(t.Context(), "app_2"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(limited.elsewhere, "GRANT SELECT ON performance_schema.replication_group_members TO") || admin.elsewhere != "" {
		t.Errorf("warnings are %q for an administrator that cannot list the members, and %q for one that can", limited.elsewhere, admin.elsewhere)
	}
	stand, err := limited.AwaitNodes(t.Context(), n, n, password, nil)
	if err != nil || len(stand.Unasked) != 1 || !strings.Contains(stand.Unasked[0],
		"GRANT SELECT ON performance_schema.replication_group_members TO 'limited'") {
		t.Errorf("an administrator that cannot list the members: %+v, %v", stand, err)
	}
}
