package chaos

import "syscall"

// attributes keep Ctrl-C from the workers, and let them end when this process is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
