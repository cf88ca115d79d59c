package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/program"
)

// traces makes one span of each attempt of a step. All steps of one run of a workflow, that is of one rotation, are one trace, whose id
// is the run's id. Spans are of activities only: those of the workflow would last for the weeks that it sleeps.
//
// There are no spans inside a step, because the text of an error there may contain a password.
type traces struct {
	interceptor.WorkerInterceptorBase
	tracer trace.Tracer
}

// exporterOf returns what sends spans, by the environment variables of OpenTelemetry. It is nil if they ask for none.
func exporterOf(ctx context.Context, lookup func(string) (string, bool)) (sdktrace.SpanExporter, error) {
	get := func(name string) string {
		value, _ := lookup(name)
		return value
	}
	wanted := get("OTEL_TRACES_EXPORTER")
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") || wanted == "none" ||
		cmp.Or(wanted, get("OTEL_EXPORTER_OTLP_ENDPOINT"), get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) == "" {
		return nil, nil
	}
	if wanted != "" && wanted != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: must be otlp or none", wanted)
	}
	switch protocol := cmp.Or(get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), get("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: must be http/protobuf or grpc", protocol)
	}
}

// traceTimeout bounds how long a stopping worker waits until the last spans have been sent.
const traceTimeout = 5 * time.Second

// startTraces returns what traces steps, nil if nothing is to be traced, and a function that sends the last spans.
func startTraces(ctx context.Context, lookup func(string) (string, bool), logger *slog.Logger) (*traces, func(), error) {
	exporter, err := exporterOf(ctx, lookup)
	if err != nil || exporter == nil {
		return nil, func() {}, err
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "rotate-user"), attribute.String("service.version", program.Version())),
		resource.WithFromEnv()) // the variables win
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	failed := func(err error) { logger.Warn("traces could not be exported", "error", err) }
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	t, end := newTraces(exporter, described)
	return t, func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
		defer cancel()
		if err := end(ctx); err != nil {
			failed(err)
		}
	}, nil
}

func newTraces(exporter sdktrace.SpanExporter, described *resource.Resource) (*traces, func(context.Context) error) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described),
		sdktrace.WithIDGenerator(runIDs{}))
	return &traces{tracer: provider.Tracer("rotate-user")}, provider.Shutdown
}

// runIDs gives the spans of one run one trace id.
type runIDs struct{}

// runIDKey is the context's key of the id of the run that a new span belongs to.
type runIDKey struct{}

func (g runIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	if run, err := uuid.Parse(fmt.Sprint(ctx.Value(runIDKey{}))); err == nil {
		id = trace.TraceID(run)
	} else {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return id, g.NewSpanID(ctx, id)
}

func (runIDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	_, _ = rand.Read(id[:])
	return id
}

func (t *traces) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &tracedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, t.tracer}
}

type tracedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	tracer trace.Tracer
}

// ExecuteActivity sees of an error what activities.Interceptor, which comes after it, lets through.
func (t *tracedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	run := info.WorkflowExecution
	_, span := t.tracer.Start(context.WithValue(ctx, runIDKey{}, run.RunID), info.ActivityType.Name, trace.WithNewRoot(),
		trace.WithTimestamp(info.StartedTime),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("temporalWorkflowID", run.ID), attribute.String("temporalRunID", run.RunID),
			attribute.String("temporalActivityID", info.ActivityID), attribute.Int("temporalAttempt", int(info.Attempt)),
			attribute.String("temporalTaskQueue", info.TaskQueue),
		))
	defer span.End()
	result, err := t.Next.ExecuteActivity(ctx, in)
	if err != nil {
		if typed, ok := errors.AsType[*temporal.ApplicationError](err); ok {
			span.SetAttributes(attribute.String("error.type", typed.Type()))
		}
		span.SetStatus(codes.Error, err.Error())
	}
	return result, err
}
