package main

import (
	"log/slog"
	"os"
	"slices"
	"sync"
)

// files holds a value made from files, such as certificates and keys, and makes it again when one
// of them changes. If the new files cannot be used, for example because only the certificate was
// replaced so far, the previous value stays in use.
type files[T any] struct {
	// load makes the value and returns the paths of the files that it read.
	load   func() (T, []string, error)
	logger *slog.Logger

	mu     sync.Mutex
	made   T
	paths  []string
	stamps []os.FileInfo // of the paths; nil if a file does not exist
	failed string        // the error of the last load, so that it is logged once
}

// read makes the value for the first time.
func (f *files[T]) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

func (f *files[T]) reload() error {
	// The stamps are taken before the files are read, so that a change in between is noticed the next time.
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

// now returns the value for the current files.
func (f *files[T]) now() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.EqualFunc(f.stamps, stamps(f.paths), same) {
		return f.made
	}
	if err := f.reload(); err == nil {
		f.failed = ""
		f.logger.Info("files have changed and were reloaded", "files", f.paths)
	} else if text := err.Error(); text != f.failed {
		f.failed = text
		f.logger.Warn("files have changed and cannot be used; the previous ones stay in use", "files", f.paths, "error", err)
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
