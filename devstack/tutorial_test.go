package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
)

func (e *e2e) testTutorial(t *testing.T) {
	tut := &tutorial{running: e.running, console: newConsole(t.Output())}
	if err := tut.walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{userName, cloneName, userName}, tut.users); diff != "" {
		t.Errorf("users of AWSCURRENT (-want +got):\n%s", diff)
	}
}

// TestTutorialGoesOn stops everything after the tutorial, and starts it again with the kept state.
func TestTutorialGoesOn(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	o := stack.Options{Dir: t.TempDir(), DataDir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine, MySQLPort: freePort(t)}
	for _, want := range [][]string{
		{userName, cloneName, userName},
		{userName, userName, cloneName},
	} {
		s, err := stack.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r := running{Stack: s, bin: bin}
		if r.worker, err = s.StartWorker(t.Context(), filepath.Join(bin, "worker"), "worker"); err != nil {
			t.Fatal(errors.Join(err, s.Stop()))
		}
		tut := &tutorial{running: r, console: newConsole(t.Output())}
		err = tut.walk(t.Context())
		if err := errors.Join(err, s.Stop()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tut.users); diff != "" {
			t.Errorf("users of AWSCURRENT (-want +got):\n%s", diff)
		}
	}
}
