package main

import "testing"

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
