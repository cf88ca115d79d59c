package secretsmanager

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// operations maps the name in the X-Amz-Target header to its implementation.
var operations = map[string]func(c caller, body []byte) (any, error){
	"BatchGetSecretValue":          reading(caller.batchGetSecretValue),
	"CancelRotateSecret":           operation(caller.cancelRotateSecret),
	"CreateSecret":                 operation(caller.createSecret),
	"DeleteResourcePolicy":         operation(caller.deleteResourcePolicy),
	"DeleteSecret":                 operation(caller.deleteSecret),
	"DescribeSecret":               reading(caller.describeSecret),
	"GetRandomPassword":            operation(caller.getRandomPassword),
	"GetResourcePolicy":            reading(caller.getResourcePolicy),
	"GetSecretValue":               reading(caller.getSecretValue),
	"ListSecretVersionIds":         reading(caller.listSecretVersionIds),
	"ListSecrets":                  reading(caller.listSecrets),
	"PutResourcePolicy":            operation(caller.putResourcePolicy),
	"PutSecretValue":               operation(caller.putSecretValue),
	"RemoveRegionsFromReplication": operation(caller.removeRegionsFromReplication),
	"ReplicateSecretToRegions":     operation(caller.replicateSecretToRegions),
	"RestoreSecret":                operation(caller.restoreSecret),
	"RotateSecret":                 operation(caller.rotateSecret),
	"StopReplicationToReplica":     operation(caller.stopReplicationToReplica),
	"TagResource":                  operation(caller.tagResource),
	"UntagResource":                operation(caller.untagResource),
	"UpdateSecret":                 operation(caller.updateSecret),
	"UpdateSecretVersionStage":     operation(caller.updateSecretVersionStage),
	"ValidateResourcePolicy":       operation(caller.validateResourcePolicy),
}

// operation makes one entry of operations. It decodes the input, runs f under the lock, and returns
// when what f did and saw is durable.
//
// f must check everything before it changes anything, and must not return anything that a later
// call may change.
func operation[In, Out any](f func(caller, *In) (Out, error)) func(caller, []byte) (any, error) {
	return func(s caller, body []byte) (any, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		out, seen, err := locked(s, in, f, s.withoutLag)
		if saveErr := s.save(seen); saveErr != nil {
			return nil, saveErr
		}
		return out, err
	}
}

// reading makes an entry for an operation whose answers lag.
func reading[In, Out any](f func(caller, *In) (Out, error)) func(caller, []byte) (any, error) {
	present := operation(f)
	past := operation(func(s caller, in *In) (Out, error) {
		secrets := s.state.Secrets
		defer func() { s.state.Secrets = secrets }()
		s.state.Secrets = s.seen()
		return f(s, in)
	})
	return func(s caller, body []byte) (any, error) {
		if s.lag <= 0 || s.withoutLag {
			return present(s, body)
		}
		return past(s, body)
	}
}

// locked runs f under the lock, and returns how many changes to the state f may have seen. If
// publish is set, reads see the changes of f at once.
func locked[In, Out any](s caller, in *In, f func(caller, *In) (Out, error), publish bool) (Out, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out, err := f(s, in)
	s.settle()
	s.record(publish)
	return out, s.changes, err
}

// decode decodes an operation's input. Its errors name the wrong parameter but do not quote the
// body, which may contain a secret's value.
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
	return errorf("SerializationException", "the request is not a JSON object, or one of its values is malformed")
}

// unknownParameter is an error type that the real service does not have: the caller depends on
// something that this endpoint does not implement.
const unknownParameter = "UnknownParameterException"

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.caller(r)) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request, c caller) {
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
		reply(w, nil, errorf("UnknownOperationException", "this endpoint does not know the operation %q", cmp.Or(name, target)))
		return
	}

	c.operation = name
	intercept := s.count(name)
	if intercept == nil {
		intercept = func(Call) Fault { return Fault{} }
	}
	call := newCall(name, body)
	if intercept(call).answer(w, r) {
		return
	}
	if c.throttles() {
		s.log.Debug("throttled", "operation", name, "secret", call.SecretID)
		Throttled(0).answer(w, r)
		return
	}
	out, err := carryOut(c, body)
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

// count records a call and returns the current intercept function.
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
		panic(err) // an output type that JSON cannot encode
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", randomID())
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client is gone
}

// randomID returns a random UUID.
func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
