package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/rotate-user/rotate-user/internal/panics"
	"github.com/rotate-user/rotate-user/workflows"
)

// wanted are the search attributes that the workflows set.
var wanted = workflows.SearchAttributeTypes()

// searchAttributes knows whether the namespace has what the workflows want to set, and registers it where it may. An upsert
// of an attribute that the namespace lacks would block a workflow, so they are left alone until they are there.
type searchAttributes struct {
	namespace string
	operator  operator
	// visibility answers queries, where the operator's interface is closed to us, as in Temporal Cloud.
	visibility visibility
	logger     *slog.Logger

	present atomic.Bool
}

type operator interface {
	ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error)
	AddSearchAttributes(context.Context, *operatorservice.AddSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error)
}

type visibility interface {
	CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error)
}

const (
	askTimeout = 10 * time.Second
	// settles bounds how long a new attribute may take to be listed, and spreads is how long every server of the cluster
	// takes to learn of it: each reads the namespaces anew every 2 s (system.namespaceCacheRefreshInterval). One that has not
	// yet fails the task of a workflow that sets the attribute.
	settles = 10 * time.Second
	spreads = 3 * time.Second
	// askAgain is after how long the attributes are looked for again.
	askAgain = time.Minute
)

// usable says whether workflows may set the attributes.
func (s *searchAttributes) usable() bool { return s.present.Load() }

// watch registers what is missing and returns. Until ctx ends, it goes on looking for what was registered or removed.
func (s *searchAttributes) watch(ctx context.Context) {
	missing, _ := s.missing(ctx)
	if len(missing) > 0 {
		err := s.add(ctx, missing)
		if missing = s.settled(ctx, err, missing); len(missing) > 0 {
			s.logger.Warn("search attributes are missing; rotation works without them. To list and search by them, register them",
				"names", missing, "error", err, "with", s.command(missing))
			go s.keep(ctx)
			return
		}
		s.logger.Info("search attributes registered; the cluster needs a few seconds to know them")
		select {
		case <-ctx.Done():
		case <-time.After(spreads):
		}
	}
	s.present.Store(true)
	go s.keep(ctx)
}

// settled is what is missing after the registration has ended with err. The same may have been registered by another worker
// a moment ago.
func (s *searchAttributes) settled(ctx context.Context, err error, missing []string) []string {
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return missing
	}
	ctx, cancel := context.WithTimeout(ctx, settles)
	defer cancel()
	for {
		if missing, _ = s.missing(ctx); len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return missing
		case <-time.After(settles / 20):
		}
	}
}

// keep follows what the namespace has: attributes can be registered, and removed, at any time. An answer that does not come
// changes nothing.
func (s *searchAttributes) keep(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			s.logger.Error("search attributes are no longer looked for until the worker starts again", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(askAgain):
		}
		missing, err := s.missing(ctx)
		if err != nil || s.present.Swap(len(missing) == 0) == (len(missing) == 0) {
			continue
		}
		if len(missing) > 0 {
			s.logger.Warn("search attributes are gone; rotation works without them. To list and search by them, register them",
				"names", missing, "with", s.command(missing))
		} else {
			s.logger.Info("search attributes are there")
		}
	}
}

// missing are the names, in order, of what the namespace lacks or has with another type. Those that could not be asked for are
// among them if there is an error.
func (s *searchAttributes) missing(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(wanted))
	list, err := s.operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: s.namespace})
	if err == nil {
		return slices.DeleteFunc(names, func(name string) bool { return list.GetCustomAttributes()[name] == wanted[name] }), nil
	}
	var unknown error
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := s.visibility.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: s.namespace, Query: name + " IS NOT NULL",
		})
		var lacks *serviceerror.InvalidArgument
		if err != nil && !errors.As(err, &lacks) {
			unknown = err
		}
		return err == nil
	})
	return names, unknown
}

func (s *searchAttributes) add(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	types := map[string]enums.IndexedValueType{}
	for _, name := range names {
		types[name] = wanted[name]
	}
	_, err := s.operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: s.namespace, SearchAttributes: types})
	return err
}

// command is what somebody with the right to do so types.
func (s *searchAttributes) command(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "temporal operator search-attribute create --namespace %s", s.namespace)
	for _, name := range names {
		fmt.Fprintf(&b, " --name %s --type %s", name, wanted[name])
	}
	return b.String()
}
