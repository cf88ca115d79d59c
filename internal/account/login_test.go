package account

import (
	"context"
	"testing"
)

// The errors of logins with the right password, and the statements that help.
func TestLoginErrorsAndWhatHelps(t *testing.T) {
	const right, wrong = "Right-1", "Wrong-1"
	tests := []struct {
		name, engine string
		broken       []string
		failed       int // earlier logins with a wrong password
		number       uint16
		helps        []string
	}{
		{"wrong password", "", []string{"ALTER USER app IDENTIFIED BY 'Other-1'"}, 0, 1045, []string{"ALTER USER app IDENTIFIED BY 'Right-1'"}},
		{"locked", "mysql", []string{"ALTER USER app ACCOUNT LOCK"}, 0, 3118, []string{"ALTER USER app ACCOUNT UNLOCK"}},
		{"locked", "mariadb", []string{"ALTER USER app ACCOUNT LOCK"}, 0, 4151, []string{"ALTER USER app ACCOUNT UNLOCK"}},
		{"blocked", "mysql", []string{"ALTER USER app FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 3"}, 2, 3955,
			[]string{"ALTER USER app ACCOUNT UNLOCK"}},
		{"blocked", "mariadb", []string{"SET GLOBAL max_password_errors = 2"}, 2, 4150,
			[]string{"ALTER USER app ACCOUNT UNLOCK", "FLUSH PRIVILEGES"}}, // the second one for MariaDB 10.5
		{"expired by age", "mysql", []string{"ALTER USER app PASSWORD EXPIRE INTERVAL 5 DAY",
			"UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 6 DAY WHERE User = 'app'", "FLUSH PRIVILEGES"}, 0, 1862,
			[]string{"ALTER USER app PASSWORD EXPIRE NEVER"}},
		{"expired by age", "mariadb", []string{"ALTER USER app PASSWORD EXPIRE INTERVAL 5 DAY",
			"UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.password_last_changed', UNIX_TIMESTAMP() - 600000) WHERE User = 'app'",
			"FLUSH PRIVILEGES"}, 0, 1820,
			[]string{"ALTER USER app PASSWORD EXPIRE NEVER"}},
		{"expired", "mysql", []string{"ALTER USER app PASSWORD EXPIRE"}, 0, 1862, []string{"ALTER USER app IDENTIFIED BY 'Right-1'"}},
		{"expired", "mariadb", []string{"ALTER USER app PASSWORD EXPIRE"}, 0, 1820, []string{"ALTER USER app IDENTIFIED BY 'Right-1'"}},
		{"plugin", "mysql", []string{"UPDATE mysql.user SET plugin = 'mysql_native_password' WHERE User = 'app'", "FLUSH PRIVILEGES"}, 0, 1524,
			[]string{"ALTER USER app IDENTIFIED WITH caching_sha2_password BY 'Right-1'"}},
		{"plugin", "mariadb", []string{"UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.plugin', 'gone') WHERE User = 'app'",
			"FLUSH PRIVILEGES"}, 0, 1524,
			[]string{"ALTER USER app IDENTIFIED VIA mysql_native_password USING PASSWORD('Right-1')"}},
		{"limit", "", []string{"ALTER USER app WITH MAX_CONNECTIONS_PER_HOUR 1"}, 1, 1226,
			[]string{"ALTER USER app WITH MAX_CONNECTIONS_PER_HOUR 0"}},
		{"offline", "mysql", []string{"SET GLOBAL offline_mode = ON"}, 0, 3032, []string{"SET GLOBAL offline_mode = OFF"}},
		{"database", "", []string{"DROP DATABASE shop"}, 0, 1049, []string{"CREATE DATABASE shop"}},
		{"no right", "", []string{"REVOKE ALL ON shop.* FROM app"}, 0, 1044, []string{"GRANT SELECT ON shop.* TO app"}},
	}
	each(t, func(b *bench) {
		ctx := context.Background()
		ep := b.endpoint()
		ep.Database = "shop"
		outer := b.T
		for _, tt := range tests {
			if tt.engine != "" && tt.engine != b.server.Engine {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				b.T = t
				defer func() { b.T = outer }()
				b.clean()
				b.exec("CREATE USER app IDENTIFIED BY '"+right+"'", "GRANT SELECT ON shop.* TO app")
				if b.maria {
					defer b.exec("SET GLOBAL max_password_errors = DEFAULT")
				}
				b.exec(tt.broken...)
				for range tt.failed {
					if tt.number == 1226 { // successful logins count
						_, _ = b.dialer.Login(ctx, ep, "app", right)
					} else if _, err := b.dialer.Login(ctx, ep, "app", wrong); err == nil {
						t.Fatal("a login with a wrong password succeeded")
					}
				}
				_, err := b.dialer.Login(ctx, ep, "app", right)
				if e := serverError(err); e == nil || e.Number != tt.number {
					t.Errorf("the login gives %v, want error %d", err, tt.number)
				}
				b.exec(tt.helps...)
				if _, err := b.dialer.Login(ctx, ep, "app", right); err != nil {
					t.Errorf("after %q: %v", tt.helps, err)
				}
			})
		}
	})
}
