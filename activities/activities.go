// Package activities holds everything that touches the outside world: Secrets Manager and the database. Each activity may run
// twice, or be cut off anywhere. None takes or returns a password. Interceptor redacts what leaves an activity and decides
// whether an error is retried.
package activities

import (
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/rds"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

var _ rotation.Activities = (*Activities)(nil)

// Activities are registered as one; the name of each activity is that of its method.
type Activities struct {
	Secrets  *secret.Store
	Accounts *account.Dialer
	// Masters are the master secrets that may be used; if it is empty, all that the worker can read.
	Masters []MasterPattern
	// Databases finds the servers of master secrets that RDS manages. If it is nil, those are refused.
	Databases *rds.Client
	// Temporal is asked which rotations run in the worker's namespace.
	Temporal client.Client
}
