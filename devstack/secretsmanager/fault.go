package secretsmanager

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Call is what an intercept function learns about a call.
type Call struct {
	Operation string   // such as PutSecretValue
	SecretID  string   // SecretId as given; Name in CreateSecret
	Token     string   // ClientRequestToken
	Stages    []string // VersionStages or VersionStage as given

	Done  bool   // false before the call is executed; true before it is answered
	Error string // once Done, the type of the error in the answer
}

// Fault replaces the normal course of a call. The zero value is no fault. Before the call is done,
// a fault prevents it; afterwards, only the answer is lost.
type Fault struct {
	Code    string // the error type to answer with
	Message string
	Status  int // the HTTP status that goes with Code; 400 if 0

	// RetryAfter, if positive, is sent with Code: in the Retry-After header in
	// seconds, rounded up, and in x-amz-retry-after in milliseconds.
	RetryAfter time.Duration

	Hang bool // no answer; the connection stays open until the client gives up
	Drop bool // no answer; the connection is closed
}

// Intercept has f see every call of a known operation twice: before it is executed, and then before
// it is answered. f may block, which delays only that call. It is called concurrently. Nil ends the
// interception.
func (s *Server) Intercept(f func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Throttled is the fault of a caller above the service's request rate. If retryAfter is 0, there is
// no Retry-After header.
func Throttled(retryAfter time.Duration) Fault {
	return Fault{Code: "ThrottlingException", Message: "Rate exceeded", RetryAfter: retryAfter}
}

// Failed is an internal error of the service, with HTTP status 500.
func Failed() Fault {
	return Fault{Code: "InternalServiceError", Message: "An error occurred on the server side.", Status: http.StatusInternalServerError}
}

// Denied is the fault of a caller whose policy does not allow the call.
func Denied(c Call) Fault {
	return Fault{
		Code: "AccessDeniedException",
		Message: "User is not authorized to perform: secretsmanager:" + c.Operation + " on resource: " + c.SecretID +
			" because no identity-based policy allows the secretsmanager:" + c.Operation + " action",
	}
}

// newCall reads what all operations have in common from a request body. What cannot be parsed stays
// empty; the operation itself reports it.
func newCall(operation string, body []byte) Call {
	var in struct {
		SecretId, Name, ClientRequestToken, VersionStage string
		VersionStages                                    []string
	}
	_ = json.Unmarshal(body, &in)
	c := Call{Operation: operation, SecretID: in.SecretId, Token: in.ClientRequestToken, Stages: in.VersionStages}
	if operation == "CreateSecret" {
		c.SecretID = in.Name
	}
	if in.VersionStage != "" {
		c.Stages = []string{in.VersionStage}
	}
	return c
}

// answer sends the fault and reports whether there was one.
func (f Fault) answer(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Code == "":
		return false
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
		w.Header().Set("X-Amz-Retry-After", strconv.FormatInt(f.RetryAfter.Milliseconds(), 10))
	}
	reply(w, nil, &apiError{Type: f.Code, Message: f.Message, status: f.Status})
	return true
}
