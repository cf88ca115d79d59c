package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
)

func TestPassword(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		plan := b.rotate(pair)
		ep := b.endpoint()
		ep.Database = "shop"
		login, err := b.dialer.Login(ctx, ep, "app_clone", secret)
		if err != nil {
			b.Fatal(err)
		}
		if want := (Login{Account: plan.Standby, Version: login.Version, TLS: true, Connection: login.Connection}); login != want {
			b.Errorf("login %+v, want %+v", login, want)
		}
		if _, err := b.dialer.Login(ctx, ep, "app", "Aa1-first"); err != nil {
			b.Error(err)
		}

		_, err = b.dialer.Login(ctx, ep, "app_clone", "wrong-Password-1")
		if e := serverError(err); e == nil || e.Number != 1045 || strings.Contains(err.Error(), "wrong-Password-1") {
			b.Errorf("a wrong password gives %v", err)
		}

		if !b.maria {
			b.exec("ALTER USER app_clone IDENTIFIED BY 'Leaked-1' RETAIN CURRENT PASSWORD")
		}
		stop := errors.New("fenced")
		before := b.everything()
		if _, err := b.admin.SetPassword(ctx, plan.Standby, plan.Source, "Next-1",
			func(context.Context, grants.Stored) error { return stop }); !errors.Is(err, stop) {
			b.Errorf("a failing fence gives %v", err)
		}
		if diff := cmp.Diff(before, b.everything()); diff != "" {
			b.Errorf("a call stopped by its fence wrote (-before +after):\n%s", diff)
		}
		for range 2 { // twice, as in a retry
			if _, err := b.admin.SetPassword(ctx, plan.Standby, plan.Source, "Next-1", nil); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := b.dialer.Login(ctx, ep, "app_clone", "Next-1"); err != nil {
			b.Error(err)
		}
		for _, old := range []string{secret, "Leaked-1"} {
			if _, err := b.dialer.Login(ctx, ep, "app_clone", old); err == nil {
				b.Errorf("%s still logs in", old)
			}
		}
	})
}

// The standby's password is for the current account's plugin, whatever either account had before.
func TestPasswordFollowsThePlugin(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		plugins := map[string]string{"sha256_password": "IDENTIFIED WITH sha256_password BY 'Aa1-first'",
			"caching_sha2_password": "IDENTIFIED WITH caching_sha2_password BY 'Aa1-first'"}
		if b.maria {
			if _, err := b.root.ExecContext(ctx, "INSTALL SONAME 'auth_ed25519'"); err != nil && !strings.Contains(err.Error(), "already") {
				b.Fatal(err)
			}
			plugins = map[string]string{"ed25519": "IDENTIFIED VIA ed25519 USING PASSWORD('Aa1-first')",
				"mysql_native_password": "IDENTIFIED VIA mysql_native_password USING PASSWORD('Aa1-first')"}
		}
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'", "GRANT SELECT ON shop.* TO app")
		b.rotate(pair)
		for range 2 { // from each plugin to the other
			for plugin, clause := range plugins {
				b.exec("ALTER USER app " + clause)
				b.rotate(owned(pair))
				for _, r := range b.rows("SELECT User, plugin FROM mysql.user WHERE User LIKE 'app%'") {
					if r[1] != plugin {
						b.Errorf("%s logs in by %s, want %s", r[0], r[1], plugin)
					}
				}
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", secret); err != nil {
					b.Errorf("%s: %v", plugin, err)
				}
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app_clone", "Aa1-first"); err == nil {
					b.Errorf("%s: the previous password still logs in", plugin)
				}
				b.rotate(back(pair)) // and back to the other account
				if _, err := b.dialer.Login(ctx, b.endpoint(), "app", secret); err != nil {
					b.Errorf("%s, next rotation: %v", plugin, err)
				}
			}
		}
	})
}

// A session must wait while another one holds the lock on its account.
func TestPasswordBusy(t *testing.T) {
	each(t, func(b *bench) {
		ctx := context.Background()
		b.exec("CREATE USER app IDENTIFIED BY 'Aa1-first'")
		other := b.login(b.server.AdminUser, b.server.AdminPassword)
		app := grants.Name{User: "app", Host: "%"}
		held, release := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := other.SetPassword(ctx, app, app, "First-1", func(context.Context, grants.Stored) error {
				close(held)
				<-release
				return nil
			})
			done <- err
		}()
		<-held
		second := make(chan error)
		go func() {
			_, err := b.admin.SetPassword(ctx, app, app, "Second-2", func(context.Context, grants.Stored) error {
				select {
				case <-release:
					return nil
				default:
					return errors.New("two sessions at once")
				}
			})
			second <- err
		}()
		close(release)
		if err := errors.Join(<-done, <-second); err != nil {
			b.Fatal(err)
		}
		if _, err := b.dialer.Login(ctx, b.endpoint(), "app", "Second-2"); err != nil {
			b.Error(err)
		}
	})
}
