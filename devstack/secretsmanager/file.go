package secretsmanager

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// load reads the state file, if there is one.
func (s *Server) load() error {
	if s.path == "" {
		return nil
	}
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state of Secrets Manager endpoint: %w", err)
	}
	var kept state
	if err := json.Unmarshal(b, &kept); err != nil || kept.Secrets == nil {
		// The cause is omitted because it may quote the content.
		return fmt.Errorf("state of Secrets Manager endpoint: %s was not written by this endpoint, or is damaged", s.path)
	}
	s.state = kept
	for key, sec := range s.state.Secrets {
		s.replicating[key] = len(sec.Replicas) > 0
		for _, v := range sec.Versions {
			if v.String != nil {
				s.values = append(s.values, *v.String)
			}
		}
	}
	return nil
}

// save returns when the file contains at least the first n changes. Calls that wait here at the
// same time share one write.
func (s *Server) save(n uint64) error {
	if s.path == "" {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.saved >= n {
		return nil
	}
	s.mu.Lock()
	b, err := json.Marshal(&s.state)
	n = s.changes
	s.mu.Unlock()
	if err == nil {
		err = replaceFile(s.path, b)
	}
	if err != nil {
		return fmt.Errorf("keep state of Secrets Manager endpoint: %w", err)
	}
	s.saved = n
	return nil
}

// replaceFile replaces the content of a file atomically: a crash at any moment leaves the old or
// the new content, and a crash afterwards the new one.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	// The name is fixed, so that the next write overwrites what a crash has left.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
