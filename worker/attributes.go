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

// wanted are the search attributes that the workflows set, and their types.
var wanted = workflows.SearchAttributeTypes()

// searchAttributes knows whether the namespace has the search attributes of the workflows, and registers them if it may. Setting an
// attribute that the namespace lacks would block a workflow, so workflows set none until all are there.
type searchAttributes struct {
	namespace string
	operator  operator
	// visibility answers queries even if the operator service is not available, as in Temporal Cloud.
	visibility visibility
	logger     *slog.Logger

	present atomic.Bool
}

type operator interface {
	ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest,
		...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error)
	AddSearchAttributes(context.Context, *operatorservice.AddSearchAttributesRequest,
		...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error)
}

type visibility interface {
	CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error)
}

const (
	askTimeout = 10 * time.Second
	// registerTimeout bounds the wait until a new attribute is listed. propagation is how long every server of the cluster may
	// take to see it: each refreshes its namespaces every 2 s (system.namespaceCacheRefreshInterval), and until then fails the
	// task of a workflow that sets the attribute.
	registerTimeout = 10 * time.Second
	propagation     = 3 * time.Second
	// checkInterval is how often the attributes are checked.
	checkInterval = time.Minute
)

// usable reports whether workflows may set the attributes.
func (s *searchAttributes) usable() bool { return s.present.Load() }

// watch registers the attributes that are missing. After it has returned, it keeps checking which ones exist until ctx ends.
func (s *searchAttributes) watch(ctx context.Context) {
	missing, _ := s.missing(ctx)
	if len(missing) > 0 {
		err := s.add(ctx, missing)
		if missing = s.awaitRegistration(ctx, err, missing); len(missing) > 0 {
			s.logger.Warn("search attributes are missing; rotation works without them, but listing and searching needs them: register them",
				"names", missing, "error", err, "with", s.command(missing))
			go s.keepChecking(ctx)
			return
		}
		s.logger.Info("search attributes registered; waiting until every server of the cluster knows them")
		select {
		case <-ctx.Done():
		case <-time.After(propagation):
		}
	}
	s.present.Store(true)
	go s.keepChecking(ctx)
}

// awaitRegistration returns what is still missing after a registration that ended with err. Another worker may have registered the
// same attributes a moment ago.
func (s *searchAttributes) awaitRegistration(ctx context.Context, err error, missing []string) []string {
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return missing
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	for {
		if missing, _ = s.missing(ctx); len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return missing
		case <-time.After(registerTimeout / 20):
		}
	}
}

// keepChecking follows attributes that are registered or removed later. If Temporal does not answer, nothing changes.
func (s *searchAttributes) keepChecking(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			s.logger.Error("search attributes are not checked until the worker restarts", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkInterval):
		}
		missing, err := s.missing(ctx)
		if err != nil || s.present.Swap(len(missing) == 0) == (len(missing) == 0) {
			continue
		}
		if len(missing) > 0 {
			s.logger.Warn("search attributes have been removed; rotation works without them, but listing and searching needs them: register them",
				"names", missing, "with", s.command(missing))
		} else {
			s.logger.Info("search attributes are registered")
		}
	}
}

// missing returns the names of the attributes that the namespace lacks or has with another type, in order. With an error, it also
// returns those that could not be checked.
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

// command returns the command that registers the attributes.
func (s *searchAttributes) command(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "temporal operator search-attribute create --namespace %s", s.namespace)
	for _, name := range names {
		fmt.Fprintf(&b, " --name %s --type %s", name, wanted[name])
	}
	return b.String()
}
