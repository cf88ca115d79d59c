package main

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestFailuresOfStepsAreCountedByType(t *testing.T) {
	failures := newStepFailures()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	var c config
	env.SetWorkerOptions(worker.Options{Interceptors: c.workerOptions(failures).Interceptors})
	step := func(_ context.Context, fails bool) error {
		if fails {
			return errors.New("something new")
		}
		return nil
	}
	env.RegisterActivity(step)
	for _, fails := range []bool{true, false, true} {
		if _, err := env.ExecuteActivity(step, fails); (err != nil) != fails {
			t.Errorf("fails %v: %v", fails, err)
		}
	}
	var unknown float64
	registry := prometheus.NewRegistry()
	registry.MustRegister(failures.count)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "error_type" && l.GetValue() == rotation.ErrorUnknown {
				unknown += m.GetCounter().GetValue()
			}
		}
	}
	if unknown != 2 {
		t.Errorf("%v failures, want 2", unknown)
	}
	if n := len(families[0].GetMetric()); n != 6 {
		t.Errorf("%d series, want one, and one for each step that AWS may throttle", n)
	}
}
