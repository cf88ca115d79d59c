package steps

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/activities"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// trap is an editor's own database server. It records the users that try to log in.
type trap struct {
	*mysqld.Server

	on func(statement string)
}

func newTrap(t *testing.T, program mysqld.Program) trap {
	t.Helper()
	s, err := program.Start(t.Context(), mysqld.Options{AdminUser: "mallory", Args: []string{"--general-log=ON", "--log-output=TABLE"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return trap{s, on(t, s)}
}

// visitors returns the logins since the last call, without those of the trap's own administrator.
func (s trap) visitors(t *testing.T) (all []string) {
	t.Helper()
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log"+
		" WHERE command_type = 'Connect' AND argument NOT LIKE '%mallory@%' AND argument NOT LIKE '%''mallory''@%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	s.on("TRUNCATE mysql.general_log")
	return all
}

// What an editor can put into a secret: junk instead of a password, or the password of the editor's
// own account, tim. The editor has a database server, and a master secret for it that the worker
// may read.
func TestAnEditorOfASecretGainsNothing(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	cases := []struct {
		name string
		edit func(l *lab, own trap) fields
		// clone and test are the error types of CloneUser and TestPassword; empty if the step succeeds.
		clone, test string
		// visit reports whether the editor's server may see logins of tim's accounts.
		visit bool
	}{
		{"host", func(l *lab, own trap) fields { return fields{"host": "mallory.invalid"} }, grants.WrongPassword, "", false},
		{"host, with tim's password", func(l *lab, own trap) fields {
			return fields{"host": "mallory.invalid", "username": "tim" + l.user, "password": "Tims.Passw0rd-1"}
		}, rotation.ErrorUnreachable, "", false},
		{"port", func(l *lab, own trap) fields { return fields{"port": own.Port} }, grants.WrongPassword, "", false},
		{"host and port", func(l *lab, own trap) fields { return fields{"host": "localhost", "port": own.Port} }, grants.WrongPassword, "", false},
		{"host and port, with tim's password", func(l *lab, own trap) fields {
			return fields{"host": "localhost", "port": own.Port, "username": "tim" + l.user, "password": "Tims.Passw0rd-1"}
		}, "", grants.NodeBehind, true},
		{"host, port and no TLS, with tim's password", func(l *lab, own trap) fields {
			return fields{"port": own.Port, "username": "tim" + l.user, "password": "Tims.Passw0rd-1", "ssl": false}
		}, rotation.ErrorTLS, "", false},
		{"no TLS", func(l *lab, own trap) fields { return fields{"ssl": false} }, rotation.ErrorTLS, "", false},
		{"another user", func(l *lab, own trap) fields { return fields{"username": "tim" + l.user} }, grants.WrongPassword, "", false},
		{"the administrator as the user", func(l *lab, own trap) fields { return fields{"username": l.server.AdminUser} }, grants.Administrator,
			"", false},
		{"the administrator as the user, and host and port", func(l *lab, own trap) fields {
			return fields{"username": l.server.AdminUser, "port": own.Port}
		}, grants.Administrator, "", false},
		{"masterarn", func(l *lab, own trap) fields { return fields{"masterarn": "own"} }, grants.NodeBehind, "", true},
		{"masterarn, host and port", func(l *lab, own trap) fields { return fields{"masterarn": "own", "port": own.Port} }, "", "", true},
		{"masterarn, with tim's password", func(l *lab, own trap) fields {
			return fields{"masterarn": "own", "username": "tim" + l.user, "password": "Tims.Passw0rd-1"}
		}, "", grants.NodeBehind, true},
		{"masterarn, where the input names the master", func(l *lab, own trap) fields {
			l.input.MasterSecretID = "master"
			return fields{"masterarn": "own", "port": own.Port}
		}, rotation.ErrorNoMaster, "", false},
		{"a master that is not allowed", func(l *lab, own trap) fields {
			l.activities.Masters = []activities.MasterPattern{"master"}
			return fields{"masterarn": "own", "port": own.Port}
		}, rotation.ErrorMasterNotAllowed, "", false},
	}
	for _, program := range mysqldtest.Programs(t) {
		t.Run(program.Engine, func(t *testing.T) {
			server, err := program.Start(t.Context(), mysqld.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
			})
			own := newTrap(t, program)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					l := newOldLab(t, server)
					l.trust(server, own.Server)
					tim := "tim" + l.user
					l.sql("CREATE USER " + tim + " IDENTIFIED BY 'Tims.Passw0rd-1'")
					l.Cleanup(func() { l.sql("DROP USER IF EXISTS " + tim + ", " + tim + "_clone") })
					for user, password := range map[string]string{l.user: "Junk.Passw0rd-1", tim: "Tims.Passw0rd-1"} {
						own.on(fmt.Sprintf("CREATE USER %s IDENTIFIED BY '%s'", user, password))
						t.Cleanup(func() { own.on("DROP USER IF EXISTS " + user + ", " + user + "_clone") })
					}
					l.create("own", fields{"username": own.AdminUser, "password": own.AdminPassword, "port": own.Port})
					edited := fields{"username": l.user, "password": "Junk.Passw0rd-1", "masterarn": "master"}
					for key, value := range c.edit(l, own) {
						edited[key] = value
					}
					l.put(edited)
					l.put(edited) // so AWSPREVIOUS holds the same
					before := l.grants(t, l.user, tim)
					own.visitors(t)

					r, err := l.clone()
					answers(t, rotation.CloneUser, err, c.clone)
					if err == nil {
						for _, step := range []string{rotation.StagePassword, rotation.SetPassword} {
							if err := l.step(step, &r.Rotation); err != nil {
								t.Fatal(err)
							}
						}
						answers(t, rotation.TestPassword, l.step(rotation.TestPassword, &r.Rotation), c.test)
					}

					visitors := own.visitors(t)
					if c.visit != (len(visitors) > 0) {
						t.Errorf("the editor's server saw the logins %q: want some: %t", visitors, c.visit)
					}
					for _, v := range visitors {
						if strings.Contains(v, l.server.AdminUser) {
							t.Errorf("the editor's server saw a login of the administrator: %s", v)
						}
					}
					if after := l.grants(t, l.user, tim); after != before {
						t.Errorf("the accounts of the pair and of tim are\n%s\nand were\n%s", after, before)
					}
					if l.accounts(l.user+"_clone") != nil {
						t.Errorf("%s_clone was made", l.user)
					}
					if l.accounts(tim+"_clone") != nil {
						if got := l.grants(t, tim+"_clone"); strings.ReplaceAll(got, "_clone", "") != l.grants(t, tim) {
							t.Errorf("the editor's second account has\n%s", got)
						}
					}
				})
			}
		})
	}
}

// grants returns the grants of accounts.
func (l *lab) grants(t *testing.T, users ...string) string {
	t.Helper()
	var all strings.Builder
	for _, user := range users {
		rows, err := l.admin.QueryContext(t.Context(), "SHOW GRANTS FOR "+user)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			line, _, _ = strings.Cut(line, " IDENTIFIED BY PASSWORD") // MariaDB shows the hash
			all.WriteString(line + "\n")
		}
		rows.Close()
	}
	return all.String()
}

// answers checks the type of a step's error. An empty type means no error.
func answers(t *testing.T, step string, err error, kind string) {
	t.Helper()
	var app *temporal.ApplicationError
	switch {
	case kind == "" && err != nil:
		t.Errorf("%s: %v", step, err)
	case kind != "" && (!errors.As(err, &app) || app.Type() != kind):
		t.Errorf("%s answered %v: want an error of type %s", step, err, kind)
	}
}

// An editor who may put versions, but not read them, learns a rotation's id from Temporal.
func TestAVersionThatAnEditorPutUnderTheRotationsIDIsNeverUsed(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		chosen := func(l *lab) map[string]any {
			return map[string]any{"username": l.user + "_clone", "password": "Chosen.Passw0rd1", "masterarn": "master"}
		}
		t.Run("before it is staged", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Pending)
			l.refused(rotation.StagePassword, &r.Rotation, rotation.ErrorTaken)
			for _, name := range []string{rotation.SetPassword, rotation.TestPassword} {
				l.refused(name, &r.Rotation, rotation.ErrorEdited)
			}
			l.mustLogIn(secret.Current, l.user)
		})
		t.Run("as the current version", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			l.putUnder(r.Rotation.VersionID, chosen(l), secret.Current)
			l.input.EarlierVersionID, l.input.EarlierSHA256 = r.Rotation.VersionID, strings.Repeat("0", 64)
			if again, err := l.clone(); err == nil || again.Promoted {
				t.Errorf("CloneUser answered %+v, %v: want that this version was not promoted by a rotation", again, err)
			}
		})
		t.Run("for another address", func(t *testing.T) {
			l := newLab(t, s)
			r, err := l.clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
				t.Fatal(err)
			}
			r.Rotation.ValueSHA256 = strings.Repeat("0", 64)
			l.refused(rotation.SetPassword, &r.Rotation, rotation.ErrorEdited)
		})
	})
}
