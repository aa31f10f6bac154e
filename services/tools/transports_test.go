package tools

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/serinhq/serin/internal/testenv"
)

// addressVariable is where a puppet that is a web server listens.
const addressVariable = "SERIN_TEST_ADDRESS"

// overEach runs a test with the puppet behind each transport: as a process of the house, and as one that lives without it
// behind HTTP, with sessions (2025-11-25) and without (2026-07-28).
func overEach(t *testing.T, test func(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house)) {
	t.Helper()

	t.Run("stdio", func(t *testing.T) { test(t, newHouse) })

	for _, mode := range []string{"sessions", "stateless"} {
		t.Run(mode, func(t *testing.T) {
			test(t, func(t *testing.T, changes ...func(*Config)) *house {
				t.Helper()

				return newHouse(t, append([]func(*Config){overWeb(t, mode)}, changes...)...)
			})
		})
	}
}

// overWeb starts the puppet as a web server once, and has each life of the house reach it there.
func overWeb(t *testing.T, mode string) func(*Config) {
	t.Helper()

	address := ""

	return func(config *Config) {
		spec := &config.Servers[0].Spec

		if address == "" {
			address = testenv.FreePort(t)
			keepPuppet(t, []string{puppetVariable + "=" + mode, addressVariable + "=" + address, effectsVariable + "=" + spec.Env[effectsVariable]})
		}

		spec.Command, spec.Env = nil, nil
		spec.URL, spec.AllowPrivate = "http://"+address+"/mcp", true
	}
}

// keepPuppet runs the puppet, and runs it again when it has crashed, until the test ends.
func keepPuppet(t *testing.T, environment []string) {
	t.Helper()

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	done := make(chan struct{})
	start := func() *exec.Cmd {
		puppet := exec.Command(self)
		puppet.Env = slices.Concat(environment, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")})
		puppet.Stderr = os.Stderr

		if err := puppet.Start(); err != nil {
			t.Errorf("starting the puppet: %v", err)
		}

		return puppet
	}

	ended, current := make(chan struct{}), start()

	go func() {
		defer close(ended)

		for {
			exited := make(chan struct{})

			go func() {
				_ = current.Wait()

				close(exited)
			}()

			select {
			case <-exited:
				current = start()
			case <-done:
				_ = current.Process.Kill()
				<-exited

				return
			}
		}
	}()

	t.Cleanup(func() {
		close(done)
		<-ended
	})
}

// servePuppet serves over HTTP until the process ends. The port may be held for a moment by who tried it or crashed.
func servePuppet(mode string) error {
	server := mcp.NewServer(&mcp.Implementation{Name: "puppet"}, nil)
	addPuppetTools(server)

	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: mode == "stateless"})
	if mode == "sessions" {
		// Released servers speak no newer protocol with sessions.
		handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	}

	for range 500 {
		listener, err := net.Listen("tcp", os.Getenv(addressVariable))
		if err == nil {
			return http.Serve(listener, handler)
		}

		if !strings.Contains(err.Error(), "in use") {
			return err
		}

		time.Sleep(10 * time.Millisecond)
	}

	return fmt.Errorf("%s stays in use", os.Getenv(addressVariable))
}
