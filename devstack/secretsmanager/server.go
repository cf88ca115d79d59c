// Package secretsmanager is an AWS Secrets Manager endpoint that runs inside a
// test or a demonstration. It uses the AWS JSON 1.1 protocol with the real SDKs
// and the aws CLI, and answers as the service does: versions and labels,
// client request tokens and their replay, versions without labels, ARNs with six
// random characters, partial ARNs, recovery windows, filters, pages, error types
// and messages.
//
// The rules come from the Secrets Manager API reference and, beyond that, from
// recordings of the real service. Some answers come from neither, and nothing
// should depend on them:
//
//   - secrets are listed with the oldest first by default, and versions always;
//   - the versions of a secret scheduled for deletion can be listed;
//   - custom labels of a version that loses AWSCURRENT to a PutSecretValue or
//     UpdateSecret stay on it, as they do under UpdateSecretVersionStage;
//   - AWSPENDING on a third version stays there through such a call;
//   - parameters out of bounds are InvalidParameterException, and so are unknown
//     version ids in UpdateSecretVersionStage;
//   - CancelRotateSecret on a secret without rotation is InvalidRequestException,
//     and so is StopReplicationToReplica on a secret that is not a replica;
//   - a tag whose key begins with aws: is InvalidParameterException;
//   - a failed replication is retried when the primary changes;
//   - conditions in a resource policy are not evaluated: a statement that has one
//     allows nothing.
//
// One endpoint serves all regions, which it distinguishes by the credential scope
// of a call's signature, and all accounts: an access key with twelve digits belongs
// to the account with that number. A replica shows a change to its primary after a
// lag, see [Server.Replicate].
//
// It refuses and logs operations and parameters that it does not know. It verifies
// no signatures and has no access control except between accounts, so it must
// listen only on a loopback address. It invokes no rotation function, see
// [Server.EnableRotation]. Unlike the service, it is consistent at once unless
// [Options].Lag is set: a secret deleted by force, or past its recovery window, is
// gone with the next call.
//
// It is only for tests. It keeps values in clear text, in memory and in the file
// [Options].Path, but never logs them or repeats them in an error.
package secretsmanager

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "secretsmanager."

	// maxBody leaves room for a SecretString of 65,536 bytes, each of them
	// escaped as \uXXXX.
	maxBody = 1 << 20
)

// Options configure a [Server]. The zero value is usable.
type Options struct {
	Region    string           // of the ARNs that it makes; us-east-1 if empty
	AccountID string           // of the ARNs that it makes; 123456789012 if empty
	Now       func() time.Time // time.Now if nil; must be safe for concurrent use
	Log       *slog.Logger     // calls at debug level, refusals of the unknown as warnings; nothing if nil

	// Lag makes the server eventually consistent, like the service: reads return the
	// state of this long ago. Writes are checked against the present state. With a lag,
	// dates of access are not kept.
	Lag time.Duration

	// ReplicationLag is how long replicas do not show a change to their primary; see [Server.Replicate].
	ReplicationLag time.Duration

	// Path is the file that keeps the state. It is created if it does not exist, and is
	// readable only by its owner. A call is answered once everything that it did and saw
	// is in the file and on disk. If Path is empty, the state is in memory.
	Path string
}

// Server is the endpoint, an [http.Handler] to be served at the root path. It is
// safe for concurrent use.
type Server struct {
	region, account     string
	now                 func() time.Time
	log                 *slog.Logger
	lag, replicationLag time.Duration

	mu          sync.Mutex // guards what follows, up to the next blank line
	state       state
	changes     uint64 // number of changes to state
	values      []string
	calls       map[string]int
	intercept   func(Call) Fault
	past        []moment               // what reads see, and will see, the oldest first; empty without a lag
	touched     map[string]bool        // keys of the secrets that have changed since the last of these
	replication map[string]Replication // by region
	replicating map[string]bool        // keys of the secrets whose replicas may not show all of them

	writesPerSecond int                      // guarded by mu, too; 0 is no limit
	quotas          map[string]*rate.Limiter // by account and region

	saving sync.Mutex // held while the file is written; taken before mu
	path   string
	saved  uint64 // the value of changes that the file reflects
}

// New returns a server with the secrets in o.Path, if any. It fails if that file exists and cannot
// be read.
func New(o Options) (*Server, error) {
	s := &Server{
		region:         cmp.Or(o.Region, "us-east-1"),
		account:        cmp.Or(o.AccountID, "123456789012"),
		now:            o.Now,
		log:            o.Log,
		lag:            o.Lag,
		replicationLag: o.ReplicationLag,
		replication:    map[string]Replication{},
		replicating:    map[string]bool{},
		path:           o.Path,
		touched:        map[string]bool{},
		state:          state{Secrets: map[string]*secret{}},
		calls:          map[string]int{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.past = []moment{{secrets: map[string]*secret{}}}
	for key := range s.state.Secrets {
		s.touched[key] = true
	}
	s.record(true)
	return s, nil
}

// Calls returns how often each operation was called since the start or the last ResetCalls,
// including calls answered by a [Fault]. Unknown operations are counted under "".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// ResetCalls sets the counts of [Server.Calls] to zero.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Values returns every SecretString that was stored since the start, including overwritten and
// deleted ones, and those in the state file at the start.
func (s *Server) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// apiError is an error as the service sends it. Its message names secrets, versions and labels, but
// never contains a value.
type apiError struct {
	Type    string `json:"__type"`
	Message string
	status  int // 0 is 400, which the service uses for all but its own failures
}

func (e *apiError) Error() string { return e.Type + ": " + e.Message }

func errorf(errorType, format string, args ...any) *apiError {
	return &apiError{Type: errorType, Message: fmt.Sprintf(format, args...)}
}

// The service's error types that are used in more than one place.
const (
	invalidParameter = "InvalidParameterException"
	invalidRequest   = "InvalidRequestException"
	notFound         = "ResourceNotFoundException"
	exists           = "ResourceExistsException"
	validation       = "ValidationException"
)
