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
		// The cause is left out: it may quote the content.
		return fmt.Errorf("state of Secrets Manager endpoint: %s is not a file written here, or is damaged", s.path)
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

// save returns when the file reflects at least the first n changes. Calls that
// wait here together share one write.
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

// replaceFile gives the file at path a new content, so that a crash at any moment
// leaves the old or the new one, and a crash after it the new one.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	// One name for all times: what a crash leaves is overwritten by the next.
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
