package main

import (
	"testing"

	"go.temporal.io/sdk/worker"

	"github.com/rotate-user/rotate-user/workflows"
)

// TestActivitiesAreIntercepted checks that both workers redact what activities answer: without the interceptor no activity
// reads a secret.
func TestActivitiesAreIntercepted(t *testing.T) {
	var c config
	for name, n := range map[string]int{"worker": len(c.workerOptions().Interceptors), "paced worker": len(c.pacedOptions().Interceptors)} {
		if n != 1 {
			t.Errorf("the %s has %d interceptors", name, n)
		}
	}
}

// TestSlowStepsAreNotTakenForDead checks that three heartbeats in a row may be late before a step is repeated. Without a limit, the SDK
// sends them 80 % of their timeout apart.
func TestSlowStepsAreNotTakenForDead(t *testing.T) {
	var c config
	for name, o := range map[string]worker.Options{"worker": c.workerOptions(), "paced worker": c.pacedOptions()} {
		if apart := o.MaxHeartbeatThrottleInterval; apart == 0 || 4*apart > workflows.HeartbeatTimeout {
			t.Errorf("the %s sends heartbeats %v apart; their timeout is %v", name, apart, workflows.HeartbeatTimeout)
		}
	}
}
