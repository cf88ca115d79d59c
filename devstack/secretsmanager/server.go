// Package secretsmanager is an AWS Secrets Manager endpoint that runs inside a
// test or a demonstration. It speaks the AWS JSON 1.1 protocol to the real SDKs
// and to the aws CLI, and answers as the service does: versions and labels,
// client request tokens and their replay, versions without labels, ARNs with six
// random characters, partial ARNs, recovery windows, filters, pages, error types
// and messages.
//
// The rules come from the Secrets Manager API reference, and from recordings of
// the real service where those go further. Some answers rest on neither, and
// nothing should depend on them:
//
//   - secrets are listed with the oldest first unless asked otherwise, versions
//     always;
//   - the versions of a secret scheduled for deletion can be listed;
//   - custom labels of a version that loses AWSCURRENT to a PutSecretValue or
//     UpdateSecret stay on it, as they do under UpdateSecretVersionStage;
//   - AWSPENDING on a third version stays there through such a call;
//   - parameters out of bounds are InvalidParameterException, and so are unknown
//     version ids in UpdateSecretVersionStage;
//   - CancelRotateSecret on a secret without rotation is InvalidRequestException.
//
// What it does not know it refuses and logs, rather than ignore it: operations
// (resource policies and replication among them), and parameters of the
// operations that it has. It verifies no signature and has no access control, so
// it must listen on a loopback address only. It invokes no rotation function, see
// [Server.EnableRotation]. Unlike the service it is consistent at once, unless
// [Options].Lag is set: a secret deleted by force, or past its recovery window, is
// gone with the next call.
//
// It is test equipment. Values are kept in clear, in memory and in the file of
// [Options].Path; none is ever logged or repeated in an error.
package secretsmanager

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
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

	// Lag makes the server as consistent as the service is, eventually: what reads
	// answer was so this long ago. Writes are checked against what is so now. Dates of
	// access are not kept then.
	Lag time.Duration

	// Path is the file that keeps the state, created if absent, readable by its
	// owner only. A call is answered when all that it did and saw is in the file
	// and on the disk. Empty keeps the state in memory.
	Path string
}

// Server is the endpoint, an [http.Handler] to be served at the root path. It is
// safe for concurrent use.
type Server struct {
	region, account string
	now             func() time.Time
	log             *slog.Logger
	lag             time.Duration

	mu        sync.Mutex // guards what follows, up to the next blank line
	state     state
	changes   uint64 // number of changes to state
	values    []string
	calls     map[string]int
	intercept func(Call) Fault
	past      []moment        // what reads see, and will see, the oldest first; empty without a lag
	touched   map[string]bool // names of the secrets that have changed since the last of these

	saving sync.Mutex // held while the file is written; taken before mu
	path   string
	saved  uint64 // the value of changes that the file reflects
}

// New returns a server with the secrets found in o.Path, if any. It fails if that
// file is there and cannot be read.
func New(o Options) (*Server, error) {
	s := &Server{
		region:  cmp.Or(o.Region, "us-east-1"),
		account: cmp.Or(o.AccountID, "123456789012"),
		now:     o.Now,
		log:     o.Log,
		lag:     o.Lag,
		path:    o.Path,
		touched: map[string]bool{},
		state:   state{Secrets: map[string]*secret{}},
		calls:   map[string]int{},
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
	for name := range s.state.Secrets {
		s.touched[name] = true
	}
	s.record(true)
	return s, nil
}

// Calls returns how often each operation was called since the start or the last
// ResetCalls, calls answered by a [Fault] included. Operations that the server
// does not know are counted under "".
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

// Values returns every SecretString that was stored since the start, overwritten
// and deleted ones included, and those that the state file held then.
func (s *Server) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// apiError is an error as the service sends it. Its message names secrets,
// versions and labels, never a value.
type apiError struct {
	Type    string `json:"__type"`
	Message string
	status  int // 0 is 400, which the service uses for all but its own failures
}

func (e *apiError) Error() string { return e.Type + ": " + e.Message }

func errorf(errorType, format string, args ...any) *apiError {
	return &apiError{Type: errorType, Message: fmt.Sprintf(format, args...)}
}

// The error types of the service that are answered from more than one place.
const (
	invalidParameter = "InvalidParameterException"
	invalidRequest   = "InvalidRequestException"
	notFound         = "ResourceNotFoundException"
	exists           = "ResourceExistsException"
	validation       = "ValidationException"
)

// operations maps the name in the X-Amz-Target header to its implementation. It is
// told whether the call comes through [Server.WithoutLag].
var operations = map[string]func(s *Server, body []byte, withoutLag bool) (any, error){
	"BatchGetSecretValue":      reading((*Server).batchGetSecretValue),
	"CancelRotateSecret":       operation((*Server).cancelRotateSecret),
	"CreateSecret":             operation((*Server).createSecret),
	"DeleteSecret":             operation((*Server).deleteSecret),
	"DescribeSecret":           reading((*Server).describeSecret),
	"GetRandomPassword":        operation((*Server).getRandomPassword),
	"GetSecretValue":           reading((*Server).getSecretValue),
	"ListSecretVersionIds":     reading((*Server).listSecretVersionIds),
	"ListSecrets":              reading((*Server).listSecrets),
	"PutSecretValue":           operation((*Server).putSecretValue),
	"RestoreSecret":            operation((*Server).restoreSecret),
	"RotateSecret":             operation((*Server).rotateSecret),
	"TagResource":              operation((*Server).tagResource),
	"UntagResource":            operation((*Server).untagResource),
	"UpdateSecret":             operation((*Server).updateSecret),
	"UpdateSecretVersionStage": operation((*Server).updateSecretVersionStage),
}

// operation makes one entry of operations: it decodes the input, carries out f
// under the lock, and returns when what f did and saw is durable.
//
// f checks everything before it changes anything, and returns nothing that a
// later call may change.
func operation[In, Out any](f func(*Server, *In) (Out, error)) func(*Server, []byte, bool) (any, error) {
	return func(s *Server, body []byte, withoutLag bool) (any, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		out, seen, err := locked(s, in, f, withoutLag)
		if saveErr := s.save(seen); saveErr != nil {
			return nil, saveErr
		}
		return out, err
	}
}

// reading makes the entry of an operation that lags behind.
func reading[In, Out any](f func(*Server, *In) (Out, error)) func(*Server, []byte, bool) (any, error) {
	present := operation(f)
	past := operation(func(s *Server, in *In) (Out, error) {
		secrets := s.state.Secrets
		defer func() { s.state.Secrets = secrets }()
		s.state.Secrets = s.seen()
		return f(s, in)
	})
	return func(s *Server, body []byte, withoutLag bool) (any, error) {
		if s.lag <= 0 || withoutLag {
			return present(s, body, withoutLag)
		}
		return past(s, body, withoutLag)
	}
}

// locked carries out f under the lock, and returns how many changes to the state
// f may have seen. If publish is set, reads see at once what f has changed.
func locked[In, Out any](s *Server, in *In, f func(*Server, *In) (Out, error), publish bool) (Out, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := f(s, in)
	s.record(publish)
	return out, s.changes, err
}

// decode reads an operation's input. Its errors name the offending parameter but
// quote nothing of the body, which may hold a secret's value.
func decode(body []byte, in any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		return errorf("SerializationException", "more than one JSON value in the request")
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errorf("SerializationException", "parameter %q has the wrong JSON type", wrong.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return errorf(unknownParameter, "this endpoint does not know the parameter %s", name)
	}
	return errorf("SerializationException", "the request is no JSON object, or a value in it has no valid form")
}

// unknownParameter is what the real service never answers, since it knows them
// all: the caller relies on something that is not built.
const unknownParameter = "UnknownParameterException"

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, false) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request, withoutLag bool) {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		reply(w, nil, &apiError{Type: "UnknownOperationException", status: http.StatusNotFound})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		reply(w, nil, &apiError{Type: "RequestEntityTooLargeException", status: http.StatusRequestEntityTooLarge})
		return
	}
	target := r.Header.Get("X-Amz-Target")
	name, _ := strings.CutPrefix(target, targetPrefix)
	carryOut, known := operations[name]
	if !known || name == target {
		s.log.Warn("unknown operation", "target", target)
		s.count("")
		reply(w, nil, &apiError{Type: "UnknownOperationException"})
		return
	}

	intercept := s.count(name)
	if intercept == nil {
		intercept = func(Call) Fault { return Fault{} }
	}
	call := newCall(name, body)
	if intercept(call).answer(w, r) {
		return
	}
	out, err := carryOut(s, body, withoutLag)
	call.Done = true
	var failure *apiError
	if err != nil {
		if !errors.As(err, &failure) {
			s.log.Error("call failed", "operation", name, "secret", call.SecretID, "error", err)
			failure = &apiError{Type: "InternalServiceError", Message: "the endpoint failed, see its log", status: http.StatusInternalServerError}
		}
		call.Error = failure.Type
	}
	if call.Error == unknownParameter {
		s.log.Warn("unknown parameter", "operation", name, "secret", call.SecretID, "error", failure.Message)
	} else {
		s.log.Debug("call", "operation", name, "secret", call.SecretID, "error", call.Error)
	}
	if intercept(call).answer(w, r) {
		return
	}
	reply(w, out, failure)
}

// count records a call and returns the intercept function in force.
func (s *Server) count(operation string) func(Call) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[operation]++
	return s.intercept
}

// reply sends an answer: head and body leave together, since net/http keeps a
// head until the first write. Clients of the Go SDK lose an answer now and then
// when its body trails the head.
func reply(w http.ResponseWriter, out any, failure *apiError) {
	status := http.StatusOK
	if failure != nil {
		out, status = failure, cmp.Or(failure.status, http.StatusBadRequest)
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // an output type that JSON cannot hold
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", randomID())
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails if the client is gone, which is its affair
}

// randomID returns a random identifier in the form of a UUID.
func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
