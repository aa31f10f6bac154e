package kubelet

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// dialHere connects from this thread: net.Dial may use others, which are in other networks.
func dialHere(address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}

	file := os.NewFile(uintptr(fd), address)
	defer file.Close() //nolint:errcheck // the connection has its own descriptor

	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}

	connection, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("take the connection over: %w", err)
	}

	return connection, nil
}
