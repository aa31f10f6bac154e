package testenv

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a server of the test's own, in memory alone.
type Redis struct {
	// Address is host:port.
	Address string

	tb      testing.TB
	args    []string
	process *exec.Cmd
}

// StartRedis runs redis-server, or valkey-server, on a port that nobody else has until the test ends. The arguments are added
// to its command line; PORT among them stands for the port.
func StartRedis(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	Require(tb, "redis")

	r := &Redis{Address: FreePort(tb), tb: tb}

	_, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		tb.Fatal(err)
	}

	r.args = []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", tb.TempDir()}
	for _, arg := range args {
		r.args = append(r.args, strings.ReplaceAll(arg, "PORT", port))
	}

	r.Start()
	tb.Cleanup(r.Kill)

	return r
}

// URL leads to the server without a password.
func (r *Redis) URL() string { return "redis://" + r.Address }

// Start runs the server, also again after [Redis.Kill], and returns once it takes connections.
func (r *Redis) Start() {
	r.tb.Helper()

	program := "redis-server"
	if _, err := exec.LookPath(program); err != nil {
		program = "valkey-server"
	}

	r.process = exec.Command(program, r.args...) //nolint:gosec,noctx // a test's own server, which its cleanup ends
	if err := r.process.Start(); err != nil {
		r.tb.Fatalf("start %s: %v", program, err)
	}

	const patience, pause = 10 * time.Second, 5 * time.Millisecond

	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		conn, err := net.Dial("tcp", r.Address) //nolint:noctx // a local port does not block
		if err == nil {
			_ = conn.Close() // nothing was said

			return
		}

		if time.Now().After(deadline) {
			r.tb.Fatalf("%s does not listen: %v", program, err)
		}
	}
}

// Kill ends the server at once, and with it all that it knows.
func (r *Redis) Kill() {
	if r.process == nil {
		return
	}

	_ = r.process.Process.Kill() // whatever it says, Wait knows whether it has ended
	_ = r.process.Wait()         // it was killed
	r.process = nil
}

// Pause stops the server in the middle of what it does, with its connections open; Resume has it go on.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume has a paused server go on.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(signal syscall.Signal) {
	r.tb.Helper()

	if err := r.process.Process.Signal(signal); err != nil {
		r.tb.Fatalf("send redis %s: %v", signal, err)
	}
}
