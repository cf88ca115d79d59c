package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

func endpoint(c secret.Credential, database string) account.Endpoint {
	return account.Endpoint{Host: c.Host, Port: c.Port, TLS: c.TLS, Database: database}
}

// closeInto closes a session, and sets *err to the error of that unless it is already set.
func closeInto(err *error, admin *account.Admin) {
	if closeErr := admin.Close(); closeErr != nil && *err == nil {
		*err = closeErr
	}
}

// login logs in with a version's credential, as the application would.
func (a *Activities) login(ctx context.Context, v secret.Version) (account.Login, error) {
	return a.loginBy(ctx, v, a.Accounts.Login)
}

func (a *Activities) loginBy(ctx context.Context, v secret.Version,
	login func(ctx context.Context, at account.Endpoint, user, password string) (account.Login, error),
) (account.Login, error) {
	l, err := login(ctx, endpoint(v.Credential, v.DBName), v.Username, v.Password)
	if err != nil {
		return account.Login{}, fmt.Errorf("version %s of secret %s: %w", v.ID, v.Name, err)
	}
	if l.Account.User != v.Username {
		return account.Login{}, refuse(rotation.ErrorOtherAccount, "version %s of secret %s names user %s, but the server logs it in as %s:"+
			" drop that account, which is anonymous or a proxied one", v.ID, v.Name, v.Username, l.Account)
	}
	return l, nil
}

// limited reports whether a login was refused because of a limit of the account. The server checks
// limits only after the password was accepted.
func limited(err error) bool { return isServerError(err, erTooManyUserConnections, erUserLimitReached) }

// lockedOut reports whether a login was refused because its account is locked.
func lockedOut(err error) bool { return isServerError(err, erAccountLocked, erAccountLockedMariaDB) }

// lags reports whether a login was refused as it would be by a node that does not know yet that an
// account has a new password, is unlocked, exists, or may use a database.
func lags(err error) bool {
	return isServerError(err, erDatabaseAccessDenied, erAccessDenied, erBadDatabase, erAccessDeniedNoPassword, erAccountLocked,
		erAccountLockedMariaDB)
}

func isServerError(err error, numbers ...uint16) bool {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(numbers, server.Number)
}

// behind returns the error for a login that one node of a cluster refuses although another one
// stores the password.
func behind(server string, err error) error {
	return &grants.Refusal{Reason: grants.NodeBehind, Retry: true, Message: fmt.Sprintf("a node of the cluster at %s refuses a login"+
		" that another node accepts, as if it were behind: %v", server, err)}
}

// wrongPassword reports whether the server stores a different password for the current account than
// AWSCURRENT contains.
func wrongPassword(err error) bool {
	refused, ok := errors.AsType[*grants.Refusal](err)
	return ok && refused.Reason == grants.WrongPassword
}
