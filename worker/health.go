package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// pollers knows whether the worker gets work: whether it polls each of its task queues, and what Temporal answered last. A worker
// can reach Temporal and still get no work, for example because its certificate or API key does not allow polls.
//
// It watches the calls themselves. The SDK's metric temporal_num_pollers does not help: it drops to 0 in a worker that is
// busy, and counts polls that Temporal refuses.
type pollers struct {
	mu    sync.Mutex
	polls map[poller]error // the error of the last poll that ended, nil before one has
}

// poller polls one task queue for one kind of task.
type poller struct{ kind, taskQueue string }

const (
	workflowTasks = "workflow tasks"
	activityTasks = "activity tasks"
)

// watch intercepts the calls to Temporal.
func (p *pollers) watch(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker,
	options ...grpc.CallOption) error {
	who, ok := pollerOf(request)
	if !ok {
		return call(ctx, method, request, reply, conn, options...)
	}
	p.mu.Lock()
	if _, known := p.polls[who]; !known {
		if p.polls == nil {
			p.polls = map[poller]error{}
		}
		p.polls[who] = nil
	}
	p.mu.Unlock()
	err := call(ctx, method, request, reply, conn, options...)
	p.mu.Lock()
	p.polls[who] = err
	p.mu.Unlock()
	return err
}

var pollingDesc = prometheus.NewDesc("rotate_user_worker_polling",
	"1 if Temporal accepts the worker's polls of a task queue for workflow tasks or activity tasks, 0 otherwise.",
	[]string{"task_queue", "tasks"}, nil)

// pollingMetrics exports what /readyz knows about these pollers.
type pollingMetrics struct {
	polls *pollers
	all   []poller
}

func (m pollingMetrics) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- pollingDesc }

func (m pollingMetrics) Collect(metrics chan<- prometheus.Metric) {
	for _, who := range m.all {
		value := 0.0
		if m.polls.check(who) == nil {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(pollingDesc, prometheus.GaugeValue, value, who.taskQueue, strings.TrimSuffix(who.kind, " tasks"))
	}
}

// pollerOf returns the poller that sends a request, if the request is a poll. A worker's own queue, which is sticky, counts as
// the task queue that it belongs to.
func pollerOf(request any) (who poller, ok bool) {
	var queue *taskqueue.TaskQueue
	switch r := request.(type) {
	case *workflowservice.PollWorkflowTaskQueueRequest:
		who.kind, queue = workflowTasks, r.GetTaskQueue()
	case *workflowservice.PollActivityTaskQueueRequest:
		who.kind, queue = activityTasks, r.GetTaskQueue()
	default:
		return poller{}, false
	}
	if who.taskQueue = queue.GetNormalName(); who.taskQueue == "" {
		who.taskQueue = queue.GetName()
	}
	return who, true
}

// check returns an error unless all of these poll, and Temporal accepted the last poll of each.
func (p *pollers) check(all ...poller) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, who := range all {
		if err, begun := p.polls[who]; !begun {
			errs = append(errs, fmt.Errorf("task queue %s is not polled for %s yet", who.taskQueue, who.kind))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("poll task queue %s for %s: %w", who.taskQueue, who.kind, err))
		}
	}
	return errors.Join(errs...)
}

// askReadiness asks the worker that listens at address whether it is ready.
func askReadiness(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--metrics-address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*readyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no worker answers: set --metrics-address as for the worker, or see its log: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}
