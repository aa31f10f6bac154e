package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort is an address of this machine on which nobody listens, for who listens there later, or never: below the ports
// that systems hand out by themselves, so that no other test is given it meanwhile.
func FreePort(tb testing.TB) string {
	tb.Helper()

	const least, count, tries = 20000, 10000, 100

	var err error

	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", least+rand.IntN(count)) //nolint:gosec // chance is all that it needs

		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err != nil { //nolint:noctx // taking a local port does not block
			continue
		}

		if err = listener.Close(); err == nil {
			return address
		}
	}

	tb.Fatalf("find a free port: %v", err)

	return ""
}
