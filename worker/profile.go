//go:build profile

package main

import (
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// A worker built with this file writes profiles to the directory PROFILE_DIR, between the signals
// SIGUSR1 and SIGUSR2. Other workers must not, because a memory profile may contain secrets.
func init() {
	dir := os.Getenv("PROFILE_DIR")
	if dir == "" {
		return
	}
	runtime.MemProfileRate = 64 << 10
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				profileTo(filepath.Join(dir, "worker-cpu.pprof"), pprof.StartCPUProfile)
				continue
			}
			pprof.StopCPUProfile()
			profileTo(filepath.Join(dir, "worker-allocs.pprof"), func(w io.Writer) error { return pprof.Lookup("allocs").WriteTo(w, 0) })
		}
	}()
}

func profileTo(file string, write func(io.Writer) error) {
	f, err := os.Create(file)
	if err == nil {
		err = write(f)
	}
	if err != nil {
		log.Fatal("profile: ", err)
	}
}
