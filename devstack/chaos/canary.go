package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"github.com/rotate-user/rotate-user/devstack/temporal"
)

// canary searches everything that was written for passwords.
type canary struct {
	report *Report
	// words by their first eight bytes. mask shows quickly that no word begins with two bytes.
	words map[uint64][]word
	mask  [1 << 16]bool
	found map[string]bool // the place and the owner
	// control are words that must occur in a place, so that a scan that sees nothing is noticed.
	control map[string]bool
}

type word struct {
	text    []byte
	name    string
	control bool
}

func newCanary(r *Report) *canary {
	return &canary{report: r, words: map[uint64][]word{}, found: map[string]bool{}, control: map[string]bool{}}
}

func (c *canary) add(text, name string, control bool) {
	if len(text) < 8 {
		return
	}
	key := binary.LittleEndian.Uint64([]byte(text))
	c.words[key] = append(c.words[key], word{[]byte(text), name, control})
	c.mask[uint16(key)] = true
}

func (c *canary) scan(place string, data []byte) {
	c.report.Scanned++
	c.report.ScannedBytes += int64(len(data))
	for i := 0; i+8 <= len(data); i++ {
		if !c.mask[binary.LittleEndian.Uint16(data[i:])] {
			continue
		}
		for _, w := range c.words[binary.LittleEndian.Uint64(data[i:])] {
			if !bytes.HasPrefix(data[i:], w.text) {
				continue
			}
			if w.control {
				c.control[place] = true
			} else if key := place + w.name; !c.found[key] {
				c.found[key] = true
				c.report.violate("%s contains a password of %s", place, w.name)
			}
		}
	}
}

// learn adds every password that was ever stored.
func (w *world) learn(c *canary) error {
	if w.Cluster != GroupReplication { // members log in to each other with statements that contain it
		c.add(w.database.AdminPassword, "the database's administrator", false)
	}
	seen := map[string]bool{}
	for _, text := range w.secrets.Values() {
		var v credential
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return fmt.Errorf("a value of Secrets Manager: %w", err)
		}
		if !seen[v.Password] {
			seen[v.Password] = true
			c.add(v.Password, v.Username, false)
		}
	}
	c.report.Passwords = len(seen) + 1
	// The first user's name occurs everywhere except in metrics.
	c.add("user_0_1", "", true)
	c.add("rotate_user_rotations", "", true)
	return nil
}

// scanTemporal reads every history and everything in visibility, as a client sees them.
func (w *world) scanTemporal(ctx context.Context, c *canary) error {
	var page []byte
	for {
		list, err := w.temporalClient.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: temporal.Namespace,
			NextPageToken: page})
		if err != nil {
			return err
		}
		visible, err := proto.Marshal(list)
		if err != nil {
			return err
		}
		c.scan("visibility", visible)
		for _, e := range list.GetExecutions() {
			events := w.temporalClient.GetWorkflowHistory(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId(), false,
				enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			var history []byte
			for events.HasNext() {
				event, err := events.Next()
				if err != nil {
					return err
				}
				if history, err = (proto.MarshalOptions{}).MarshalAppend(history, event); err != nil {
					return err
				}
			}
			c.scan("histories", history)
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			return nil
		}
	}
}

// scanFiles reads all files in the run's directory: the logs of workers, database and Temporal, the
// general and binary logs, the database's own files, and Temporal's.
func (w *world) scanFiles(c *canary) error {
	return filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "admin-password" { // the private server's own file
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		place, err := filepath.Rel(w.Dir, path)
		c.scan(place, data)
		return err
	})
}

// see checks that the scan saw what it should have seen.
func (c *canary) see(cluster string) {
	places := []string{"histories", "visibility", "metrics", "temporal.db", "general.log", "lane-0.log"}
	switch cluster {
	case "":
		places = append(places, "binary.000001")
	case GroupReplication:
		places = append(places, "binlog.000001")
	}
	for _, place := range places {
		seen := false
		for p := range c.control {
			seen = seen || strings.Contains(p, place)
		}
		if !seen {
			c.report.violate("the canary found none of the expected words in %s: it searches the wrong place", place)
		}
	}
}
