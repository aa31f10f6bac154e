//go:build !linux

package tools

import "syscall"

// processAttributes give a server a group of its own, so that Ctrl-C in a terminal does not reach it before its calls are
// drained. When this process is killed, servers see the end of their input.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
