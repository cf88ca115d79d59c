package main

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// stepFailures counts the attempts of steps that failed, by the type of their error. The SDK's own metric has no type.
type stepFailures struct {
	interceptor.WorkerInterceptorBase
	count *prometheus.CounterVec
}

func newStepFailures() *stepFailures {
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rotate_user_step_failures_total", Help: "Attempts of steps that failed, by the type of the error.",
	}, []string{"activity_type", "error_type"})
	// Prometheus sees no increase in a series that begins with 1.
	for _, step := range []string{rotation.CloneUser, rotation.StagePassword, rotation.SetPassword, rotation.TestPassword,
		rotation.PromotePassword} {
		count.WithLabelValues(step, rotation.ErrorThrottled)
	}
	return &stepFailures{count: count}
}

// InterceptActivity counts what activities.Interceptor, which comes after it, lets through.
func (s *stepFailures) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &countedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, s.count}
}

type countedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	count *prometheus.CounterVec
}

func (c *countedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	result, err := c.Next.ExecuteActivity(ctx, in)
	if typed, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		c.count.WithLabelValues(activity.GetInfo(ctx).ActivityType.Name, typed.Type()).Inc()
	}
	return result, err
}
