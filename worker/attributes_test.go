package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// namespace is as much of a Temporal server as searchAttributes asks.
type namespace struct {
	mu              sync.Mutex
	attributes      map[string]enums.IndexedValueType
	listErr, addErr error
	countErr        error
}

func (n *namespace) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest,
	...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: maps.Clone(n.attributes)}, n.listErr
}

func (n *namespace) AddSearchAttributes(_ context.Context, r *operatorservice.AddSearchAttributesRequest,
	_ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	if n.addErr == nil {
		maps.Copy(n.attributes, r.SearchAttributes)
	}
	return &operatorservice.AddSearchAttributesResponse{}, n.addErr
}

func (n *namespace) CountWorkflow(_ context.Context,
	r *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.countErr != nil {
		return nil, n.countErr
	}
	name, _, _ := strings.Cut(r.Query, " ")
	if _, ok := n.attributes[name]; !ok {
		return nil, serviceerror.NewInvalidArgument("invalid query")
	}
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

func TestSearchAttributes(t *testing.T) {
	some := map[string]enums.IndexedValueType{"RotationStatus": enums.INDEXED_VALUE_TYPE_KEYWORD, "Other": enums.INDEXED_VALUE_TYPE_INT}
	otherType := maps.Clone(wanted)
	otherType["RotationStatus"] = enums.INDEXED_VALUE_TYPE_TEXT
	denied := serviceerror.NewPermissionDenied("not for you", "")

	tests := []struct {
		name   string
		server *namespace
		usable bool
		logs   string
	}{
		{"all there", &namespace{attributes: wanted, addErr: errors.New("nothing to add")}, true, ""},
		{"registered", &namespace{attributes: map[string]enums.IndexedValueType{}}, true, "registered"},
		{"the missing ones registered", &namespace{attributes: some}, true, "registered"},
		{
			"may not register", &namespace{attributes: some, addErr: denied}, false,
			"temporal operator search-attribute create --namespace shop --name DatabaseHost --type Keyword --name LastRotatedDate --type Datetime",
		},
		{"may not list", &namespace{attributes: wanted, listErr: denied, addErr: denied}, true, ""},
		{"may do nothing", &namespace{attributes: some, listErr: denied, addErr: denied}, false, "not for you"},
		{"of another type", &namespace{attributes: otherType, addErr: denied}, false, "RotationStatus"},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.server.attributes = maps.Clone(test.server.attributes)
			var logs bytes.Buffer
			s := &searchAttributes{namespace: "shop", operator: test.server, visibility: test.server,
				logger: slog.New(slog.NewTextHandler(&logs, nil))}
			began := time.Now()
			s.watch(ctx)
			if waited := time.Since(began) > 0; waited != (test.logs == "registered") {
				t.Errorf("%s: waited for the cluster: %v", test.name, waited)
			}
			if s.usable() != test.usable {
				t.Errorf("%s: usable is %v", test.name, s.usable())
			}
			if !strings.Contains(logs.String(), test.logs) || test.logs == "" && logs.Len() > 0 {
				t.Errorf("%s: the log does not say %q: %s", test.name, test.logs, logs.String())
			}
		})
	}
}

func TestSearchAttributesAreFollowed(t *testing.T) {
	denied := serviceerror.NewPermissionDenied("not for you", "")
	for _, listErr := range []error{nil, denied} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			server := namespace{attributes: maps.Clone(wanted), listErr: listErr, addErr: denied}
			s := &searchAttributes{namespace: "shop", operator: &server, visibility: &server, logger: slog.New(slog.DiscardHandler)}
			s.watch(ctx)
			after := func(what string, change func(), want bool) {
				server.mu.Lock()
				change()
				server.mu.Unlock()
				<-time.After(checkInterval + time.Second)
				synctest.Wait()
				if s.usable() != want {
					t.Errorf("%s, list: %v: usable is %v", what, listErr, s.usable())
				}
			}
			after("removed", func() { delete(server.attributes, "RotationStatus") }, false)
			after("registered again", func() { server.attributes["RotationStatus"] = wanted["RotationStatus"] }, true)
			after("no answer", func() { server.listErr, server.countErr = denied, errors.New("unavailable") }, true)
		})
	}
}
