//go:build unix && !linux

package child

import "syscall"

const diesWithParent = false

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
