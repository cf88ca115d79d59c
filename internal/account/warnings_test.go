package account

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/grants"
)

// A rotation warns about everything that depends on an account's name or rules.
func TestWarnings(t *testing.T) {
	const audited = "names 'app' but not 'app_clone', so it applies to only one of them: add the other name"
	tests := []struct {
		name, engine string
		statements   []string
		undo         []string
		says         string // the warning, or its beginning if it ends in dots; empty if there is none
	}{
		{name: "nothing"},
		{"failed logins", "mysql", []string{"ALTER USER app FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2"}, nil,
			"a client that keeps using an old password can lock 'app'@'%' and 'app_clone'@'%' for everyone, " +
				"because of FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2 (error 3955): ALTER USER … ACCOUNT UNLOCK unlocks the account"},
		{"failed logins without a lock", "mysql", []string{"ALTER USER app FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 0"}, nil, ""},
		{"failed logins, unlimited lock", "mysql", []string{"ALTER USER app FAILED_LOGIN_ATTEMPTS 5 PASSWORD_LOCK_TIME UNBOUNDED"}, nil,
			"a client that keeps using an old password can lock 'app'@'%' and 'app_clone'@'%' for everyone, " +
				"because of FAILED_LOGIN_ATTEMPTS 5 PASSWORD_LOCK_TIME UNBOUNDED (error 3955)…"},
		{"password errors", "mariadb", []string{"SET GLOBAL max_password_errors = 7"}, []string{"SET GLOBAL max_password_errors = DEFAULT"},
			"a client that keeps using an old password can lock 'app'@'%' and 'app_clone'@'%' for everyone, " +
				"because of max_password_errors = 7 (error 4150)…"},
		{"audited", "mariadb", []string{"SET GLOBAL server_audit_incl_users = 'other, app'"},
			[]string{"SET GLOBAL server_audit_incl_users = ''"}, "server_audit_incl_users " + audited},
		{"not audited", "mariadb", []string{"SET GLOBAL server_audit_excl_users = 'app_clone'"},
			[]string{"SET GLOBAL server_audit_excl_users = ''"},
			"server_audit_excl_users names 'app_clone' but not 'app', so it applies to only one of them: add the other name"},
		{"both audited", "mariadb", []string{"SET GLOBAL server_audit_incl_users = 'app_clone,other,app'"},
			[]string{"SET GLOBAL server_audit_incl_users = ''"}, ""},
		{"instrumented", "mysql", []string{"INSERT INTO performance_schema.setup_actors VALUES ('%', 'app', '%', 'NO', 'NO')"},
			[]string{"DELETE FROM performance_schema.setup_actors WHERE USER = 'app'"}, "performance_schema.setup_actors " + audited},
		{"audited by a table", "", []string{"CREATE TABLE mysql.audit_log_user (USER VARCHAR(32), HOST VARCHAR(255), FILTERNAME VARCHAR(64))",
			"INSERT INTO mysql.audit_log_user VALUES ('app', '%', 'f'), ('%', '', 'g')"}, []string{"DROP TABLE mysql.audit_log_user"},
			"mysql.audit_log_user " + audited},
		{"firewall", "", []string{"CREATE TABLE mysql.firewall_users (USERHOST VARCHAR(288), MODE VARCHAR(20))",
			"INSERT INTO mysql.firewall_users VALUES ('app@%', 'PROTECTING')"}, []string{"DROP TABLE mysql.firewall_users"},
			"mysql.firewall_users " + audited},
		{"everyone's role", "mysql", []string{"SET GLOBAL mandatory_roles = '`app`@`%`'"}, []string{"SET GLOBAL mandatory_roles = ''"},
			"mandatory_roles " + audited},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		// The plugin stays loaded: a server that unloads it while sessions are open cannot load it
		// again.
		if b.maria && len(b.rows("SHOW GLOBAL VARIABLES LIKE 'server_audit_incl_users'")) == 0 {
			b.exec("INSTALL SONAME 'server_audit'")
		}
		outer := b.T
		for _, tt := range tests {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
				defer func() { b.exec(tt.undo...) }()
				b.exec(tt.statements...)
				admin := b.login(b.server.AdminUser, b.server.AdminPassword)
				plan, err := admin.Plan(ctx, pair)
				if err != nil {
					t.Fatal(err)
				}
				synced, err := admin.Sync(ctx, pair)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range []*grants.Plan{plan, synced} {
					if tt.says == "" && len(p.Warnings) == 0 {
						continue
					}
					begins, partly := strings.CutSuffix(tt.says, "…")
					if len(p.Warnings) != 1 || p.Warnings[0] != tt.says && !(partly && strings.HasPrefix(p.Warnings[0], begins)) {
						t.Errorf("warnings %q, want %q", p.Warnings, tt.says)
					}
				}
			})
		}
	})
}

// The plan reports when the current password will expire, and warns if that is before the next
// rotation.
func TestExpiry(t *testing.T) {
	day := 24 * time.Hour
	each(t, func(b *bench) {
		ctx := context.Background()
		b.Cleanup(func() { b.exec("SET GLOBAL default_password_lifetime = 0") })
		for _, tt := range []struct {
			name string
			life string // lifetime of the account's passwords
			days int    // lifetime of all passwords
			next time.Duration
			want time.Duration // until it expires; 0 for never
			says string        // empty if there is no warning
		}{
			{name: "never", life: "NEVER", days: 10, next: 30 * day},
			{name: "default is never", life: "DEFAULT", next: 30 * day},
			{name: "default before the next", life: "DEFAULT", days: 10, next: 30 * day, want: 10 * day,
				says: ", before the next rotation on <next>, after 10 days (default_password_lifetime of the server)"},
			{name: "before the next", life: "INTERVAL 20 DAY", next: 30 * day, want: 20 * day,
				says: ", before the next rotation on <next>, after 20 days (PASSWORD EXPIRE INTERVAL 20 DAY of the account)"},
			{name: "before the one after", life: "INTERVAL 45 DAY", next: 30 * day, want: 45 * day,
				says: ", after 45 days (PASSWORD EXPIRE INTERVAL 45 DAY of the account), while AWSPREVIOUS may still name it"},
			{name: "after both", life: "INTERVAL 90 DAY", next: 30 * day, want: 90 * day},
			{name: "next not known", life: "INTERVAL 90 DAY", want: 90 * day, says: ", after 90 days"},
		} {
			b.exec("DROP USER IF EXISTS app, app_clone", "CREATE USER app IDENTIFIED BY 'Aa1-first' PASSWORD EXPIRE "+tt.life)
			b.exec("SET GLOBAL default_password_lifetime = " + strconv.Itoa(tt.days))
			admin := b.login(b.server.AdminUser, b.server.AdminPassword)
			now := time.Now()
			p := pair
			if tt.next > 0 {
				p.Next = now.Add(tt.next)
			}
			plan, err := admin.Plan(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			synced, err := admin.Sync(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			for _, got := range []struct {
				plan *grants.Plan
				who  grants.Name
			}{{plan, plan.Source}, {synced, plan.Standby}} {
				if left := got.plan.Expires.Sub(now) - tt.want; (tt.want == 0) != got.plan.Expires.IsZero() || tt.want > 0 && left.Abs() > time.Hour {
					b.Errorf("%s: %s expires on %v, want in %v", tt.name, got.who, got.plan.Expires, tt.want)
				}
				const date = "2006-01-02 15:04 UTC"
				want := "the password of " + got.who.String() + " expires on " + got.plan.Expires.UTC().Format(date) +
					strings.ReplaceAll(tt.says, "<next>", p.Next.UTC().Format(date))
				has := slices.ContainsFunc(got.plan.Warnings, func(w string) bool { return strings.HasPrefix(w, want) })
				if tt.says != "" && !has || tt.says == "" && len(got.plan.Warnings) > 0 {
					b.Errorf("%s: warnings %q, want %q", tt.name, got.plan.Warnings, want)
				}
			}
		}
	})
}

// With caching_sha2_password, the server refuses a login without TLS unless it has the hash in its cache.
func TestPlanWarnsAboutLoginsWithoutTLS(t *testing.T) {
	each(t, func(b *bench) {
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		for _, plain := range []bool{false, true} {
			p := pair
			p.Plain = plain
			plan, err := b.admin.Plan(context.Background(), p)
			if err != nil {
				b.Fatal(err)
			}
			warned := slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.Contains(w, "FLUSH PRIVILEGES") && strings.Contains(w, "45044") })
			if want := plain && !b.admin.server.IsMariaDB(); warned != want {
				b.Errorf("plain %t: warnings %q", plain, plan.Warnings)
			}
		}
	})
}
