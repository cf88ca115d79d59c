// Package mysqldtest provides tests with the real servers of this machine, each started once per
// test program.
//
//	func TestMain(m *testing.M) { mysqldtest.Main(m) }
//
//	func TestX(t *testing.T) {
//		mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) { ... })
//	}
package mysqldtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/mysqld"
)

var (
	mainRuns bool // set before any test runs
	find     = sync.OnceValue(mysqld.Find)
	start    = sync.OnceValues(startAll)
	started  atomic.Bool
)

// Main runs the tests, stops the servers that they started, and exits.
func Main(m *testing.M) {
	mainRuns = true
	code := m.Run()
	if started.Load() { // otherwise this would start them
		servers, _ := start()
		for _, s := range servers {
			if err := s.Stop(); err != nil {
				fmt.Fprintf(os.Stderr, "stop %s: %v\n", s, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// Each runs f as a subtest for each server, named after its engine and version. The subtests run in
// parallel, and Each returns when all of them have ended. Other tests of the program use the same
// servers, so choose unique names.
func Each(t *testing.T, f func(t *testing.T, s *mysqld.Server)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, s := range Servers(t) {
		wg.Go(func() { t.Run(s.Engine+"-"+s.Version, func(t *testing.T) { f(t, s) }) })
	}
	wg.Wait()
}

// EachProgram runs f as a subtest for each engine that Programs finds, like Each.
func EachProgram(t *testing.T, f func(t *testing.T, p mysqld.Program)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, p := range Programs(t) {
		wg.Go(func() { t.Run(p.Engine, func(t *testing.T) { f(t, p) }) })
	}
	wg.Wait()
}

// Servers returns the running servers, MariaDB and MySQL. If one of them is missing, the test logs
// this and continues with the other one. With CI=true in the environment, it fails instead.
func Servers(t testing.TB) []*mysqld.Server {
	t.Helper()
	if !mainRuns {
		t.Fatal("the package needs: func TestMain(m *testing.M) { mysqldtest.Main(m) }")
	}
	Programs(t)
	started.Store(true)
	servers, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return servers
}

// Programs returns the servers of this machine for tests that start their own, with the rules of
// Servers.
func Programs(t testing.TB) []mysqld.Program {
	t.Helper()
	found := find()
	if list := filepath.SplitList(os.Getenv(mysqld.ServersVariable)); len(found) < len(list) {
		t.Fatalf("%s names %d servers, of which %d run: %v", mysqld.ServersVariable, len(list), len(found), found)
	}
	for _, engine := range []string{mysqld.MariaDB, mysqld.MySQL} {
		if os.Getenv(mysqld.ServersVariable) != "" || slices.ContainsFunc(found, func(p mysqld.Program) bool { return p.Engine == engine }) {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s server on this machine, but CI=true requires both", engine)
		}
		t.Logf("no %s server on this machine: not tested on it", engine)
	}
	if len(found) == 0 {
		t.Skip("no server on this machine")
	}
	return found
}

// startAll starts one server of each program in parallel.
func startAll() ([]*mysqld.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	servers := make([]*mysqld.Server, len(find()))
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, p := range find() {
		wg.Go(func() { servers[i], errs[i] = p.Start(ctx, mysqld.Options{}) })
	}
	wg.Wait()
	running := slices.DeleteFunc(servers, func(s *mysqld.Server) bool { return s == nil })
	for _, err := range errs {
		if err != nil {
			return running, err
		}
	}
	return running, nil
}

// Galera starts a MariaDB cluster for one test, with the rules of Servers.
func Galera(t testing.TB, size int) []*mysqld.Server {
	t.Helper()
	return cluster(t, mysqld.MariaDB, func(ctx context.Context, p mysqld.Program) ([]*mysqld.Server, error) {
		return p.StartGalera(ctx, size, mysqld.Options{})
	})
}

// Group starts a MySQL group for one test, with the rules of Servers.
func Group(t testing.TB, size int, primaries mysqld.Primaries) []*mysqld.Server {
	t.Helper()
	return cluster(t, mysqld.MySQL, func(ctx context.Context, p mysqld.Program) ([]*mysqld.Server, error) {
		return p.StartGroup(ctx, size, primaries, mysqld.Options{})
	})
}

func cluster(t testing.TB, engine string, start func(context.Context, mysqld.Program) ([]*mysqld.Server, error)) []*mysqld.Server {
	t.Helper()
	programs := Programs(t)
	i := slices.IndexFunc(programs, func(p mysqld.Program) bool { return p.Engine == engine })
	if i < 0 {
		t.Skip("no " + engine)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	nodes, err := start(ctx, programs[i])
	if errors.Is(err, mysqld.ErrNoGalera) && (os.Getenv("CI") != "true" || programs[i].Root != "") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range nodes { // not in order, because each server would first inform the others
			if err := errors.Join(s.Kill(), s.Stop()); err != nil {
				t.Errorf("stop %s: %v", s, err)
			}
		}
	})
	return nodes
}
