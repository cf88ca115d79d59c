// Package rds is an Amazon RDS endpoint that runs inside a test or a demonstration. It answers
// DescribeDBInstances and DescribeDBClusters about databases that are added to it, in AWS's query
// protocol, which the real SDKs and the aws CLI use. It also keeps an administrator's password in
// Secrets Manager and rotates it, as RDS does. ModifyDBInstance and ModifyDBCluster rotate it at
// once, and change nothing else.
//
// It refuses operations and parameters that it does not know. It verifies no signatures and has no
// access control, so it must listen only on a loopback address.
package rds

import (
	"cmp"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Options configure a [Server]. The zero value is usable.
type Options struct {
	Region    string // us-east-1 if empty
	AccountID string // 123456789012 if empty
}

// Server is the endpoint, an [http.Handler] to be served at the root path. It is safe for concurrent use.
type Server struct {
	region, account string

	mu        sync.Mutex
	instances map[string]Instance // by identifier
	clusters  map[string]Cluster  // by identifier
	masters   map[string]*Master  // by the ARN of the database
	calls     map[string]int
	intercept func(Call) *Failure
}

// New returns a server without databases.
func New(o Options) *Server {
	return &Server{
		region:    cmp.Or(o.Region, "us-east-1"),
		account:   cmp.Or(o.AccountID, "123456789012"),
		instances: map[string]Instance{},
		clusters:  map[string]Cluster{},
		masters:   map[string]*Master{},
		calls:     map[string]int{},
	}
}

// Instance is a database instance.
type Instance struct {
	Identifier string
	Engine     string // mysql, mariadb or aurora-mysql
	Version    string
	Host       string // empty while the instance is being created
	Port       int
	Master     string // the administrator's name
	SecretARN  string // secret of its credential, if RDS manages it
	Cluster    string // identifier of the cluster that the instance belongs to; empty if there is none
}

// Cluster is an Aurora or Multi-AZ cluster.
type Cluster struct {
	Identifier      string
	Engine          string
	Version         string
	Host            string // the writer's host; empty while the cluster is being created
	ReaderHost      string
	CustomEndpoints []string
	Port            int
	Master          string
	SecretARN       string
}

// PutInstance adds an instance, or replaces the one with its identifier. It returns the ARN.
func (s *Server) PutInstance(i Instance) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[strings.ToLower(i.Identifier)] = i
	return s.arn("db", i.Identifier)
}

// PutCluster adds a cluster, or replaces the one with its identifier. It returns the ARN.
func (s *Server) PutCluster(c Cluster) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters[strings.ToLower(c.Identifier)] = c
	return s.arn("cluster", c.Identifier)
}

func (s *Server) arn(kind, identifier string) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:%s:%s", s.region, s.account, kind, strings.ToLower(identifier))
}

// PutMaster sets whose password ModifyDBInstance or ModifyDBCluster changes for a database.
func (s *Server) PutMaster(database string, m *Master) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.masters[database] = m
}

// Calls returns how often each operation was called.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Call is what an intercept function learns about a call.
type Call struct {
	Operation  string // such as DescribeDBInstances
	Identifier string // DBInstanceIdentifier or DBClusterIdentifier as given
}

// Failure is an error as the service sends it.
type Failure struct {
	Code, Message string
	Status        int // HTTP status
}

// Intercept has f see every call before it is answered. f may answer it with a failure. Nil ends
// the interception.
func (s *Server) Intercept(f func(Call) *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Throttled is the failure of a caller above the service's request rate.
func Throttled(Call) *Failure {
	return &Failure{"Throttling", "Rate exceeded", http.StatusBadRequest}
}

// Denied is the failure of a caller whose policy does not allow the call.
func Denied(c Call) *Failure {
	return &Failure{"AccessDenied", "User: arn:aws:iam::123456789012:user/any is not authorized to perform: rds:" + c.Operation +
		" on resource: " + c.Identifier + " because no identity-based policy allows the rds:" + c.Operation + " action", http.StatusForbidden}
}

const maxBody = 1 << 16

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.ParseForm() != nil {
		reply(w, nil, &Failure{"MalformedInput", "the request is not a form that was posted to /", http.StatusBadRequest})
		return
	}
	out, master, failure := s.answer(r.PostForm)
	if master != nil {
		if err := master.Rotate(r.Context()); err != nil {
			out, failure = nil, &Failure{"InternalFailure", "the password was not rotated", http.StatusInternalServerError}
		}
	}
	reply(w, out, failure)
}

// answer also returns the master to be rotated before the answer is sent.
func (s *Server) answer(form url.Values) (any, *Master, *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := Call{form.Get("Action"), cmp.Or(form.Get("DBInstanceIdentifier"), form.Get("DBClusterIdentifier"))}
	instance, rotates := strings.HasSuffix(call.Operation, "Instance") || strings.HasSuffix(call.Operation, "Instances"), false
	parameter := "DBClusterIdentifier"
	if instance {
		parameter = "DBInstanceIdentifier"
	}
	known := []string{"Action", "Version", parameter}
	switch call.Operation {
	case "DescribeDBInstances", "DescribeDBClusters":
		known = append(known, "Marker", "MaxRecords")
	case "ModifyDBInstance", "ModifyDBCluster":
		known, rotates = append(known, "RotateMasterUserPassword", "ApplyImmediately"), true
	default:
		return nil, nil, &Failure{"InvalidAction", fmt.Sprintf("this endpoint does not know the operation %q", call.Operation),
			http.StatusBadRequest}
	}
	s.calls[call.Operation]++
	if s.intercept != nil {
		if failure := s.intercept(call); failure != nil {
			return nil, nil, failure
		}
	}
	for name := range form {
		if !slices.Contains(known, name) {
			return nil, nil, &Failure{"InvalidParameterValue", fmt.Sprintf("this endpoint does not know the parameter %q", name),
				http.StatusBadRequest}
		}
	}
	if rotates {
		return s.modify(form, parameter, instance)
	}
	describe := s.describeClusters
	if instance {
		describe = s.describeInstances
	}
	out, failure := describe(form)
	return out, nil, failure
}

// page selects part of a list by the marker and MaxRecords of a call.
func page(form url.Values, sorted []string) (some []string, marker string, failure *Failure) {
	size := 100
	if text := form.Get("MaxRecords"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 20 || size > 100 {
			return nil, "", &Failure{"InvalidParameterValue", "Invalid value " + text + " for MaxRecords. Must be between 20 and 100",
				http.StatusBadRequest}
		}
	}
	if after := form.Get("Marker"); after != "" {
		at, _ := slices.BinarySearch(sorted, after+"\x00")
		sorted = sorted[at:]
	}
	if len(sorted) > size {
		return sorted[:size], sorted[size-1], nil
	}
	return sorted, "", nil
}

// identifiers returns those that a call asks for: all, or the one that it names by identifier or
// ARN.
func (s *Server) identifiers(form url.Values, parameter, kind string, all []string) ([]string, string, *Failure) {
	id := strings.ToLower(form.Get(parameter))
	if id == "" {
		slices.Sort(all)
		return page(form, all)
	}
	id = strings.TrimPrefix(id, s.arn(kind, ""))
	if slices.Contains(all, id) {
		return []string{id}, "", nil
	}
	name := id[strings.LastIndexByte(id, ':')+1:]
	if kind == "db" {
		return nil, "", &Failure{"DBInstanceNotFound", "DBInstance " + name + " not found.", http.StatusNotFound}
	}
	return nil, "", &Failure{"DBClusterNotFoundFault", "DBCluster " + name + " not found.", http.StatusNotFound}
}

func reply(w http.ResponseWriter, out any, failure *Failure) {
	status := http.StatusOK
	id := requestID()
	if failure != nil {
		status = failure.Status
		out = errorAnswer{Namespace: namespace, Type: "Sender", Code: failure.Code, Message: failure.Message, RequestID: id}
	}
	if a, ok := out.(interface{ setRequestID(string) }); ok {
		a.setRequestID(id)
	}
	body, err := xml.Marshal(out)
	if err != nil {
		panic(err) // an output type that XML cannot encode
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client is gone
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
