package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort is an address of this machine on which nobody listens, for who listens there later, or never: below the ports
// that systems hand out by themselves, so that no other test is given it meanwhile.
func FreePort() (string, error) {
	const least, count, tries = 20000, 10000, 100

	var err error

	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", least+rand.IntN(count)) //nolint:gosec // chance is all that it needs

		listener, taken := net.Listen("tcp", address) //nolint:noctx // taking a local port does not block
		if taken == nil {
			return address, listener.Close() //nolint:wrapcheck // nothing to add
		}

		err = taken
	}

	return "", fmt.Errorf("find a free port: %w", err)
}
