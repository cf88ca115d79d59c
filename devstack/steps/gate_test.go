package steps

import (
	"slices"
	"sync"
	"sync/atomic"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/secret"
)

// gate holds back a call to Secrets Manager, before it takes effect, until the gate is opened.
type gate struct {
	reached chan struct{}
	open    func()
}

// stopAt holds back the first call that matches.
func (l *lab) stopAt(meant func(endpoint.Call) bool) gate {
	opened := make(chan struct{})
	g := gate{make(chan struct{}), sync.OnceFunc(func() { close(opened) })}
	l.Cleanup(g.open)
	var stopped atomic.Bool
	l.sm.Intercept(func(c endpoint.Call) endpoint.Fault {
		if !c.Done && meant(c) && stopped.CompareAndSwap(false, true) {
			close(g.reached)
			<-opened
		}
		return endpoint.Fault{}
	})
	return g
}

func movesCurrent(c endpoint.Call) bool {
	return c.Operation == "UpdateSecretVersionStage" && slices.Contains(c.Stages, secret.Current)
}

// meanwhile runs an activity, and lets another actor act right before the activity reads the
// secret.
func (l *lab) meanwhile(name string, in any, act func()) error {
	l.Helper()
	look := l.stopAt(func(c endpoint.Call) bool { return c.Operation == "DescribeSecret" })
	ended := make(chan error, 1)
	go func() {
		_, err := l.env.ExecuteActivity(name, in)
		ended <- err
	}()
	select {
	case <-look.reached:
	case err := <-ended:
		l.Fatalf("%s ended without reading the secret: %v", name, err)
	}
	act()
	look.open()
	err := <-ended
	l.sm.Intercept(nil)
	return err
}
