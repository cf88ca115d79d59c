//go:build !linux

package stack

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
