// Package activities contains everything that touches the outside world: Secrets Manager, the
// databases and Temporal itself. Each activity may run twice, or be cut off at any point. None
// takes or returns a password. Interceptor redacts what leaves an activity and decides whether an
// error is retried.
package activities

import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

var _ rotation.Activities = (*Activities)(nil)

// Activities has all activities as methods. Each is registered under the name of its method.
type Activities struct {
	Secrets  *secret.Store
	Accounts *account.Dialer
	// Masters are the master secrets that the worker may use. If it is empty, the worker may use
	// every secret that it can read.
	Masters []MasterPattern
	// Databases finds the servers of master secrets that RDS manages. If it is nil, such secrets
	// are refused.
	Databases *rds.Client
	// Temporal is used to find the rotations that run in the worker's namespace.
	Temporal client.Client
	// Memos decodes the memos of these rotations. If it is nil, they are not encoded by a codec server.
	Memos converter.DataConverter
}
