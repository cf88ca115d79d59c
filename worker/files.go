package main

import (
	"log/slog"
	"os"
	"slices"
	"sync"
)

// files is what was made of some files, and is made again when one of them has changed: certificates and keys may be replaced
// while the worker runs. While the new ones cannot be read, as between the replacement of a certificate and of its key, what was
// made before stays in use.
type files[T any] struct {
	// load makes it and returns the paths of the files that it read.
	load   func() (T, []string, error)
	logger *slog.Logger

	mu     sync.Mutex
	made   T
	paths  []string
	stamps []os.FileInfo // of the paths; nil for a file that does not exist
	failed string        // the error of the last load, which is logged once
}

// read makes it for the first time.
func (f *files[T]) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

func (f *files[T]) reload() error {
	// The stamps are from before the files are read, so that a change in between is seen the next time.
	before := stamps(f.paths)
	made, paths, err := f.load()
	if err != nil {
		return err
	}
	if !slices.Equal(paths, f.paths) {
		before = stamps(paths)
		if made, paths, err = f.load(); err != nil {
			return err
		}
	}
	f.made, f.paths, f.stamps = made, paths, before
	return nil
}

// now is what the files hold now.
func (f *files[T]) now() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.EqualFunc(f.stamps, stamps(f.paths), same) {
		return f.made
	}
	if err := f.reload(); err == nil {
		f.failed = ""
		f.logger.Info("files have changed and were read again", "files", f.paths)
	} else if text := err.Error(); text != f.failed {
		f.failed = text
		f.logger.Warn("files have changed and cannot be used; what was read before stays in use", "files", f.paths, "error", err)
	}
	return f.made
}

func stamps(paths []string) []os.FileInfo {
	all := make([]os.FileInfo, len(paths))
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil {
			all[i] = info
		}
	}
	return all
}

func same(x, y os.FileInfo) bool {
	if x == nil || y == nil {
		return x == y
	}
	return os.SameFile(x, y) && x.ModTime().Equal(y.ModTime()) && x.Size() == y.Size()
}
