// Package child runs programs as child processes that do not outlive this program.
package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a child process that was started.
type Process struct {
	*os.Process
	done chan struct{}
	err  error // how it ended; valid once done is closed
}

// Start starts cmd in its own process group, so that Ctrl-C in the terminal does not end it before this program has
// stopped using it. On Linux the kernel kills the child when this program dies.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that forked ends, not when the program does. So this thread
		// starts the child, waits for it, and does nothing else.
		runtime.LockOSThread()
		err := cmd.Start()
		p.Process = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end of the process and returns the error of exec.Cmd.Wait.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Wait waits for the process to end and returns how it ended. If ctx is done first, Wait kills the process.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		_ = p.Kill() // it may have ended just now
		<-p.done
		return ctx.Err()
	}
}

// End sends sig to the process and waits for its end. A process that is still running after the grace period is killed.
// How the process ended is not an error of End; see Err.
func (p *Process) End(sig os.Signal, grace time.Duration) error {
	// A stopped process would not receive the signal.
	_ = p.Signal(syscall.SIGCONT)
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	err := p.Kill()
	<-p.done
	return err
}
