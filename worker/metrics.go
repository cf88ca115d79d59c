package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"github.com/rotate-user/rotate-user/internal/program"
)

// metrics exports what Temporal's SDK and the workflows measure, for Prometheus.
type metrics struct {
	registry *prometheus.Registry
	handler  client.MetricsHandler
	failures *stepFailures
}

// The SDK measures in seconds: a poll waits a minute, a step lasts from milliseconds to workflows.StepTimeout.
var secondsBuckets = []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

func newMetrics(logger *slog.Logger) (*metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	failures := newStepFailures()
	registry.MustRegister(buildInfo(), failures.count)
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithView(metric.NewView(
		metric.Instrument{Kind: metric.InstrumentKindHistogram},
		metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: secondsBuckets}},
	)))
	return &metrics{
		registry: registry,
		failures: failures,
		handler: &remembering{MetricsHandler: opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
			Meter:                provider.Meter("rotate-user"),
			UseMonotonicCounters: true,
			OnError:              func(err error) { logger.Warn("a metric could not be recorded", "error", err) },
		})},
	}, nil
}

// buildInfo is a series of every worker that runs.
func buildInfo() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rotate_user_build_info", Help: "The worker's version. The value is always 1.",
		ConstLabels: prometheus.Labels{"version": program.Version()},
	})
	g.Set(1)
	return g
}

// readyTimeout is shorter than the ten seconds that most health checks wait.
const readyTimeout = 5 * time.Second

// serve answers /metrics, /healthz and /readyz until the function that it returns is called. /healthz says that the process
// lives, so that nothing restarts the worker because Temporal is down. /readyz says whether it gets work: ready is nil.
func (m *metrics) serve(ctx context.Context, address string, ready func(context.Context) error) (stop func() error, err error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
