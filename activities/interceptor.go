package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"

	"github.com/rotate-user/rotate-user/internal/panics"
)

// Interceptor returns the interceptor that every worker with Activities needs. Without it,
// activities refuse to read secrets.
//
// It removes the passwords that an activity reads from everything that leaves the activity: its
// result, its error, the text of a panic, log lines and heartbeats. It gives each error a type and
// decides whether it is retried. It also sends heartbeats while an activity runs. It must be the
// last interceptor of the worker, so that the others see only redacted values.
func Interceptor() interceptor.WorkerInterceptor { return new(guard) }

type guard struct {
	interceptor.WorkerInterceptorBase
}

func (*guard) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &inbound{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type inbound struct {
	interceptor.ActivityInboundInterceptorBase
}

func (i *inbound) Init(next interceptor.ActivityOutboundInterceptor) error {
	return i.Next.Init(&outbound{interceptor.ActivityOutboundInterceptorBase{Next: next}})
}

func (i *inbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	r := new(redactor)
	running, end := context.WithCancel(ctx)
	go heartbeat(running)
	result, err := i.execute(context.WithValue(ctx, redactorKey{}, r), in)
	end()
	if err != nil {
		return nil, r.failure(ctx, err)
	}
	return r.result(result), nil
}

func (i *inbound) execute(ctx context.Context, in *interceptor.ExecuteActivityInput) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the step was aborted: %w", panics.New(p))
		}
	}()
	return i.Next.ExecuteActivity(ctx, in)
}

// HeartbeatInterval returns how often a step with a heartbeat timeout sends heartbeats.
func HeartbeatInterval(timeout time.Duration) time.Duration { return timeout / 4 }

// heartbeat tells Temporal that the worker is alive until ctx ends. If the worker dies, another one
// repeats the step long before it would time out. A step that takes less than
// HeartbeatInterval, as nearly all do, sends none.
func heartbeat(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			activity.GetLogger(ctx).Error("the step continues without heartbeats", "error", failed)
		}
	}()
	defer panics.Into(&failed)
	timeout := activity.GetInfo(ctx).HeartbeatTimeout
	if timeout == 0 {
		return
	}
	tick := time.NewTicker(HeartbeatInterval(timeout))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			activity.RecordHeartbeat(ctx)
		}
	}
}

type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
}

func (o *outbound) GetLogger(ctx context.Context) log.Logger {
	next := o.Next.GetLogger(ctx)
	r, err := redactorOf(ctx)
	if err != nil { // lines of the interceptor itself, which contain nothing from the activity
		return next
	}
	return &logger{log.Skip(next, 1), r}
}

func (o *outbound) RecordHeartbeat(ctx context.Context, details ...any) {
	r, err := redactorOf(ctx)
	if err != nil {
		details = nil
	} else {
		details = r.values(details)
	}
	o.Next.RecordHeartbeat(ctx, details...)
}

// logger redacts what it logs.
type logger struct {
	next log.Logger
	*redactor
}

func (l *logger) Debug(message string, keyvals ...any) {
	l.next.Debug(l.redact(message), l.values(keyvals)...)
}

func (l *logger) Info(message string, keyvals ...any) {
	l.next.Info(l.redact(message), l.values(keyvals)...)
}

func (l *logger) Warn(message string, keyvals ...any) {
	l.next.Warn(l.redact(message), l.values(keyvals)...)
}

func (l *logger) Error(message string, keyvals ...any) {
	l.next.Error(l.redact(message), l.values(keyvals)...)
}

func (l *logger) With(keyvals ...any) log.Logger {
	return &logger{log.With(l.next, l.values(keyvals)...), l.redactor}
}

func (l *logger) WithCallerSkip(depth int) log.Logger {
	return &logger{log.Skip(l.next, depth), l.redactor}
}

// redactorKey is the context key of an activity's redactor.
type redactorKey struct{}

// redactorOf returns the redactor of the activity that runs under ctx, or an error if there is
// none.
func redactorOf(ctx context.Context) (*redactor, error) {
	r, ok := ctx.Value(redactorKey{}).(*redactor)
	if !ok {
		return nil, errNoInterceptor
	}
	return r, nil
}

// remember has a password redacted from everything that leaves the activity that runs under ctx.
func remember(ctx context.Context, password string) error {
	r, err := redactorOf(ctx)
	if err == nil {
		r.remember(password)
	}
	return err
}

var errNoInterceptor = errors.New("secrets can be read only under activities.Interceptor: add it to the worker's Interceptors")
