package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// restartTemporal stops a Temporal server while rotations are in the middle of a step, starts it again, and measures how long after it
// answers the rotations are done.
func (b *bench) restartTemporal(ctx context.Context) (err error) {
	if b.Temporal == nil || b.Secrets == nil {
		return nil // only our own can be stopped, and know that a step is under way
	}
	const rotations = 16
	subjects, err := b.pairs(ctx, "restart", rotations)
	if err != nil {
		return err
	}
	options := temporal.Options{Path: filepath.Join(b.Dir, "restarted.db"), SearchAttributes: workflows.SearchAttributeTypes()}
	server, err := temporal.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if options.Port, err = portOf(server.Address()); err != nil {
		return err
	}
	q, end, err := b.connectTo(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	for _, s := range subjects {
		if err := b.fall(ctx, q, s, nextMonth()); err != nil {
			return err
		}
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, subjects) }); err != nil {
		return err
	}
	before, err := b.versions(ctx, subjects)
	if err != nil {
		return err
	}
	inside, release := b.hold(subjects)
	defer release()
	if err := each(ctx, rotations, rotations, func(ctx context.Context, i int) error { return b.request(ctx, subjects[i]) }); err != nil {
		return err
	}
	inside()
	if err := server.Stop(); err != nil {
		return err
	}
	b.delay(b.latency)
	release()
	restarted, err := temporal.Start(ctx, options)
	if err != nil {
		return err
	}
	server = restarted
	took, err := b.untilPromoted(ctx, subjects, before)
	if err != nil {
		return err
	}
	r := &b.report
	r.TemporalRestartSMedian, r.TemporalRestartSMax = took.median(), took.quantile(1)
	r.TemporalRestartRepeated, err = b.repeatedSteps(ctx, subjects)
	return err
}

func portOf(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// connectTo makes a Temporal server the bench's own, and starts a worker of it, until end.
func (b *bench) connectTo(ctx context.Context, server *temporal.Server) (q *queue, end func() error, err error) {
	c, err := client.DialContext(ctx, client.Options{HostPort: server.Address(), Namespace: temporal.Namespace, Logger: b.silent})
	if err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(filepath.Join(b.Dir, "worker-restart.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close() // the worker has its own descriptor
	env := slices.DeleteFunc(b.Environment(), func(v string) bool { return strings.HasPrefix(v, "TEMPORAL_ADDRESS=") })
	q = &queue{name: "bench-" + b.run + "-restart", taskTimeout: workflows.TaskTimeout}
	q.Worker, err = stack.RunWorker(ctx, filepath.Join(b.bin, "worker"), append(env, "TEMPORAL_ADDRESS="+server.Address()),
		[]string{"--task-queue", q.name}, log)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	own := b.temporal
	b.temporal = c
	return q, func() error {
		b.temporal = own
		c.Close()
		return q.Kill()
	}, nil
}

// request asks a sleeping workflow to rotate, and returns when it has accepted that.
func (b *bench) request(ctx context.Context, s *subject) error {
	_, err := b.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(s.secretID), UpdateName: rotation.RotateUpdate,
		Args: []any{rotation.RotateRequest{Force: true}}, WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	return err
}

// versions returns the current version of each secret.
func (b *bench) versions(ctx context.Context, subjects []*subject) ([]string, error) {
	versions := make([]string, len(subjects))
	return versions, each(ctx, len(subjects), len(subjects), func(ctx context.Context, i int) (err error) {
		versions[i], _, err = b.Read(ctx, subjects[i].secretID, "AWSCURRENT")
		return err
	})
}

// untilPromoted waits until each secret has a version that it did not have before, and returns how many seconds each took.
func (b *bench) untilPromoted(ctx context.Context, subjects []*subject, before []string) (took samples, err error) {
	began := time.Now()
	var mu sync.Mutex
	return took, each(ctx, len(subjects), len(subjects), func(ctx context.Context, i int) error {
		err := b.await(ctx, func() (bool, error) {
			now, err := b.versions(ctx, subjects[i:i+1])
			return err == nil && now[0] != before[i], err
		})
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began).Seconds())
		return err
	})
}

// repeatedSteps counts the attempts of steps that followed another one.
func (b *bench) repeatedSteps(ctx context.Context, subjects []*subject) (n int, err error) {
	for _, s := range subjects {
		history := b.temporal.GetWorkflowHistory(ctx, rotation.RotateUserWorkflowID(s.secretID), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			if err != nil {
				return 0, fmt.Errorf("history of %s: %w", s.secretID, err)
			}
			if started := event.GetActivityTaskStartedEventAttributes(); started != nil {
				n += int(started.GetAttempt()) - 1
			}
		}
	}
	return n, nil
}
