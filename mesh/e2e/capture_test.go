package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet"
)

// capture is what passes over the Pods' bridge, as a machine in between sees it.
type capture struct {
	file  *os.File
	ended chan struct{}
	flows map[flowKey]*flow
	err   error
}

// flowKey is one direction of a TCP connection.
type flowKey struct{ from, to netip.AddrPort }

// listen begins to capture. A bridge shows the frames that it passes on only to those who ask for what is not theirs.
func listen(t *testing.T) *capture {
	t.Helper()

	bridge, err := net.InterfaceByName(kubelet.Bridge)
	if err != nil {
		t.Fatal("find the bridge:", err)
	}

	const everything = 3 << 8 // ETH_P_ALL, as it is on the wire

	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, everything)
	if err != nil {
		t.Fatal("open a packet socket:", err)
	}

	c := &capture{file: os.NewFile(uintptr(fd), "bridge"), ended: make(chan struct{}), flows: map[flowKey]*flow{}}
	t.Cleanup(func() { _ = c.file.Close() }) // most have stopped by then

	const room = 64 << 20 // nothing is lost while others compute

	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(bridge.Index), Type: unix.PACKET_MR_PROMISC}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: bridge.Index}),
	)
	if err != nil {
		t.Fatal("listen on the bridge:", err)
	}

	go c.read()

	return c
}

// settling is how long a capture that shall stop goes on, and again while pieces are on their way: frames of one flow that
// pass through several cores come in no order.
const settling = 100 * time.Millisecond

// stop ends the capture. After it the flows are all there is.
func (c *capture) stop(t *testing.T) {
	t.Helper()

	if err := c.file.SetReadDeadline(time.Now().Add(settling)); err != nil {
		t.Fatal(err)
	}

	if <-c.ended; !errors.Is(c.err, os.ErrDeadlineExceeded) {
		t.Fatal("listen on the bridge:", c.err)
	}

	if err := c.file.Close(); err != nil {
		t.Fatal(err)
	}
}

func (c *capture) read() {
	defer close(c.ended)

	frame := make([]byte, 1<<17) // longer than what a network card would be given to cut up

	for more := 20; ; {
		n, err := c.file.Read(frame)
		if errors.Is(err, os.ErrDeadlineExceeded) && more > 0 && !c.whole() {
			more--
			err = c.file.SetReadDeadline(time.Now().Add(settling))

			if err == nil {
				continue
			}
		}

		if err != nil {
			c.err = err

			return
		}

		if key, segment, ok := parse(frame[:n]); ok {
			c.take(key, segment)
		}
	}
}

func (c *capture) take(key flowKey, segment segment) {
	found := c.flows[key]
	if found == nil || segment.first {
		found = &flow{whole: segment.first, next: segment.sequence, early: map[uint32][]byte{}}
		c.flows[key] = found
	}

	found.take(segment)
}

// whole reports whether nothing is missing that came before something that is there.
func (c *capture) whole() bool {
	for _, flow := range c.flows {
		if len(flow.early) > 0 {
			return false
		}
	}

	return true
}

// holding returns the flows that hold a text, described.
func (c *capture) holding(text string) []flowKey {
	all := []flowKey{}

	for key, flow := range c.flows {
		if bytes.Contains(flow.bytes, []byte(text)) {
			all = append(all, key)
		}
	}

	return all
}

func (k flowKey) String() string { return fmt.Sprint(k.from, " -> ", k.to) }

// has reports whether one of the ends has the port.
func (k flowKey) has(port uint16) bool { return k.from.Port() == port || k.to.Port() == port }
