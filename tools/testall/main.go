// Testall runs all tests of the repository on every database server that it finds, and then prints how many tests ran on
// which server. Most tests wait for servers rather than compute, so the suites run at the same time.
//
//	testall [flags of go test]
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// notWithLag matches tests whose setup cannot be read in time from an endpoint with lagging reads.
const notWithLag = "AnotherServer|GivesWay|StorageFormat|BeforeTheLastLook"

func main() {
	root, err := filepath.Abs("..") // the working directory is tools/
	if err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
		os.Exit(1)
	}
	flags := append([]string{"-timeout", "20m"}, os.Args[1:]...)
	// The tests on a Temporal server take longest, so the other two suites leave them the CPU.
	suites := []struct {
		name, dir string
		niceness  int
		args      []string
	}{
		{"", root, 5, append(slices.Clone(flags), "./...")},
		// The longest three come first, and at the same time: go test keeps the order.
		{"", filepath.Join(root, "devstack"), 0, append(slices.Clone(flags), "-p", "3", ".", "./steps", "./bench", "./...")},
		{" with lag", filepath.Join(root, "devstack"), 5, append(slices.Clone(flags), "./steps", "-skip", notWithLag, "-args", "-lag=100ms")},
	}
	// The tests lack CPU rather than memory, so they collect garbage less often.
	if os.Getenv("GOGC") == "" {
		if err := os.Setenv("GOGC", "400"); err != nil {
			fmt.Fprintln(os.Stderr, "testall:", err)
			os.Exit(1)
		}
	}
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // an interrupt ends the tests, and then this program removes what they left
	scratch, err := inMemory(root)
	if err == nil && scratch != "" {
		err = os.Setenv("TMPDIR", scratch)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testall:", err)
		os.Exit(1)
	}
	began := time.Now()
	c := counter{ran: map[string]int{}}
	var wg sync.WaitGroup
	for _, s := range suites {
		wg.Go(func() {
			cmd := exec.Command("nice", append([]string{"-n", strconv.Itoa(s.niceness), "go", "test", "-json"}, s.args...)...)
			cmd.Dir, cmd.Stderr = s.dir, os.Stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err == nil {
				c.read(out, s.name)
				err = cmd.Wait()
			}
			if err != nil {
				c.fail(fmt.Sprintf("go test in %s%s: %v", s.dir, s.name, err))
			}
		})
	}
	wg.Wait()
	if scratch != "" {
		if err := os.RemoveAll(scratch); err != nil {
			c.fail(err.Error())
		}
	}
	fmt.Print(c.summary(time.Since(began)))
	if len(c.failures) > 0 {
		os.Exit(1)
	}
}

// room is what the tests may need of a directory in memory at the same time: programs, the files of database servers, and logs.
const room = 8 << 30 // bytes

// inMemory creates a directory for the temporary files of this clone's tests in memory, where database servers create and remove their
// tables faster than on a disk. Its name is always the same, because results are cached by it. It returns "" if there is no such
// place, not enough room in it, or if programs cannot be run from it, as in a container.
func inMemory(root string) (string, error) {
	const place = "/dev/shm"
	if free(place) < room {
		return "", nil
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(place, "rotate-user-tests-"+hex.EncodeToString(sum[:6]))
	if err := os.RemoveAll(dir); err != nil { // left by a run that was killed
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		return "", err
	}
	if exec.Command(program).Run() != nil {
		return "", os.RemoveAll(dir)
	}
	return dir, os.Remove(program)
}

// free returns how many bytes can be written to a directory, or 0 if it does not exist.
func free(dir string) uint64 {
	var system syscall.Statfs_t
	if syscall.Statfs(dir, &system) != nil {
		return 0
	}
	return system.Bavail * uint64(system.Bsize)
}

// counter counts the tests that ran, and prints the output of those that failed.
type counter struct {
	mu       sync.Mutex
	ran      map[string]int // by server
	skipped  int
	failures []string
}

func (c *counter) fail(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, text)
}

// event is a line of go test -json; see go doc cmd/test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

const module = "github.com/rotate-user/rotate-user/"

// read counts the tests of one suite.
func (c *counter) read(r io.Reader, suite string) {
	output := map[string]*strings.Builder{} // by package or test
	ended := map[string]string{}            // the action that ended each test
	begun := map[string]bool{}              // by package and test, until the test ends
	show := func(key string) {
		if output[key] != nil {
			fmt.Print(output[key])
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "run":
			begun[key] = true
		case "build-output":
			fmt.Print(e.Output)
		case "output":
			if output[key] == nil {
				output[key] = new(strings.Builder)
			}
			output[key].WriteString(e.Output)
		case "pass", "skip", "fail":
			if e.Test != "" {
				ended[key] = e.Action
			} else if e.Action != "skip" { // a package without tests is skipped
				fmt.Printf("%s  %s%s  %.0fs\n", e.Action, strings.TrimPrefix(e.Package, module), suite, e.Elapsed)
			}
			delete(begun, key)
			if e.Action == "fail" && e.Test == "" { // the program may have ended in the middle of its tests
				for key := range begun {
					if pkg, test, _ := strings.Cut(key, " "); pkg == e.Package {
						c.fail(strings.TrimPrefix(pkg, module) + suite + " " + test + " had not ended")
						show(key)
					}
				}
			}
			if e.Action == "fail" {
				c.fail(strings.TrimSpace(strings.TrimPrefix(e.Package, module) + suite + " " + e.Test))
				show(key)
			}
			delete(output, key)
		}
	}
	c.count(ended)
}

// count counts the tests without subtests: the other tests only group them.
func (c *counter) count(ended map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	groups := map[string]bool{}
	for key := range ended {
		for i, r := range key {
			if r == '/' && i > strings.IndexByte(key, ' ') {
				groups[key[:i]] = true
			}
		}
	}
	for key, action := range ended {
		if groups[key] {
			continue
		}
		if action == "skip" {
			c.skipped++
		} else {
			_, test, _ := strings.Cut(key, " ")
			c.ran[server(test)]++
		}
	}
}

var (
	// The name of a test on a server contains the server, such as mysql-9.7.4.
	engine = regexp.MustCompile(`/(mysql|mariadb)(-|/|$)`)
	// Clusters have only one engine.
	galera = regexp.MustCompile(`Galera`)
	group  = regexp.MustCompile(`Group`)
)

const none = "without naming one"

// server returns the engine that a test ran on.
func server(test string) string {
	switch m := engine.FindStringSubmatch(test); {
	case m != nil && m[1] == "mysql", m == nil && group.MatchString(test):
		return "on MySQL"
	case m != nil, galera.MatchString(test):
		return "on MariaDB"
	}
	return none
}

func (c *counter) summary(took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nTests that ran in %v: %d on MariaDB, %d on MySQL, %d %s; skipped: %d.\n",
		took.Round(time.Second), c.ran["on MariaDB"], c.ran["on MySQL"], c.ran[none], none, c.skipped)
	if len(c.failures) > 0 {
		fmt.Fprintf(&b, "Failed:\n  %s\n", strings.Join(c.failures, "\n  "))
	}
	return b.String()
}
