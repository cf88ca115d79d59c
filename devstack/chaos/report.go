package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Report is what a run did, and what it found.
type Report struct {
	Seed     uint64
	Database string
	Took     time.Duration

	// Rotations that succeeded, and that ended as a recorded failure.
	Succeeded, RecordedFailures int
	// Faults that occurred, by kind. Missed are those whose place was never reached.
	Faults map[string]int
	Missed int
	// Places where a fault occurred, and all places of the rotations: calls times phases.
	Places, AllPlaces int
	// Tried are the clients' logins. Failed were refused although the version was promised to work.
	// Unreachable met no server that could have accepted any login. Superseded used a credential
	// that was no longer promised to work.
	Tried, Failed, Unreachable, Superseded int64
	// Outage is how long clients of AWSCURRENT had no working credential, summed over all secrets.
	Outage time.Duration
	// What was left behind. Locked accounts are counted when they are found.
	Secrets, Accounts, LeftLabels, Untidied, LeftAccounts, LeftLocks, LeftSessions int
	// Passwords that were searched for, and where: the number of files and answers, and their size
	// in bytes.
	Passwords, Scanned int
	ScannedBytes       int64
	// Violations of what is promised.
	Violations []string

	out      io.Writer
	mu       sync.Mutex
	places   map[string]bool
	metrics  [][]byte
	subjects atomic.Int64

	tried, failed, unreachable, superseded atomic.Int64
}

func newReport(seed uint64, out io.Writer) *Report {
	return &Report{Seed: seed, Faults: map[string]int{}, places: map[string]bool{}, out: out}
}

func (r *Report) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.Violations, text) { // a client may find the same violation many times
		return
	}
	r.Violations = append(r.Violations, text)
	fmt.Fprintln(r.out, "VIOLATION", text)
}

func (r *Report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format+"\n", args...)
}

func (r *Report) addOutage(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Outage += d
}

func (r *Report) keepMetrics(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metrics = append(r.metrics, text)
}

func (r *Report) rotated(failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failed {
		r.RecordedFailures++
	} else {
		r.Succeeded++
	}
}

func (r *Report) rotations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Succeeded + r.RecordedFailures
}

func (r *Report) locked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.LeftLocks++
}

func (r *Report) leftLabel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.LeftLabels++
}

// untidied counts a promoted version that kept AWSPENDING, which is not promised to be removed.
func (r *Report) untidied() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Untidied++
}

func (r *Report) struck(kind, place string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Faults[kind]++
	r.places[place] = true
}

func (r *Report) missed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Missed++
}

func (r *Report) finish(started time.Time) {
	r.Took = time.Since(started).Round(time.Second)
	r.Tried, r.Failed, r.Unreachable, r.Superseded = r.tried.Load(), r.failed.Load(), r.unreachable.Load(), r.superseded.Load()
	r.Secrets, r.Places = int(r.subjects.Load()), len(r.places)
}

// Err returns an error if there were violations.
func (r *Report) Err() error {
	if len(r.Violations) > 0 {
		return fmt.Errorf("%d violations; the first: %s", len(r.Violations), r.Violations[0])
	}
	return nil
}

// String returns the report as text.
func (r *Report) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-34s"+format+"\n", append([]any{name}, args...)...)
	}
	line("seed", "%d", r.Seed)
	line("database", "%s", r.Database)
	line("took", "%s", r.Took)
	line("secrets", "%d", r.Secrets)
	line("rotations", "%d: %d promoted, %d recorded failures", r.Succeeded+r.RecordedFailures, r.Succeeded, r.RecordedFailures)
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	line("faults", "%d at %d of %d places; %d more did not reach theirs", total, r.Places, r.AllPlaces, r.Missed)
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		line("  "+kind, "%d", r.Faults[kind])
	}
	line("logins tried", "%d", r.Tried)
	line("  failed", "%d", r.Failed)
	line("  database unreachable", "%d (retried)", r.Unreachable)
	line("  superseded in the meantime", "%d", r.Superseded)
	line("without a working credential", "%s", r.Outage)
	line("leftover labels", "%d, and AWSPENDING beside AWSCURRENT %d times", r.LeftLabels, r.Untidied)
	line("leftover accounts", "%d of %d", r.LeftAccounts, r.Accounts)
	line("leftover locks", "%d on accounts, %d sessions of masters", r.LeftLocks, r.LeftSessions)
	line("passwords searched for", "%d, in %d files and answers, %d MB", r.Passwords, r.Scanned, r.ScannedBytes>>20)
	line("violations", "%d", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}
