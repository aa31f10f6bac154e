package tools

import "syscall"

// processAttributes give a server a group of its own, so that Ctrl-C in a terminal does not reach it before its calls are
// drained, and end it when this process is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
