package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/serinhq/serin/internal/rpc"
)

// maxReplicas is how many processes of one service a machine runs at most: beyond, they only take memory.
const maxReplicas = 9

// replicaName is the process of a service's replica, counted from 0. The first is called as an only one is.
func replicaName(name string, replica int) string {
	if replica == 0 {
		return name
	}

	return name + "-" + strconv.Itoa(replica+1)
}

// replicasOf is how many processes of a room run: one of those who decide for all, and one context store where a file,
// which has one writer, keeps conversations.
func (c *PlatformConfig) replicasOf(room string) int {
	switch room {
	case "mesh", "controller":
		return 1
	case "context":
		if c.Postgres == "" {
			return 1
		}
	}

	return c.Replicas
}

// checkReplicas says what is wrong with how many there shall be.
func (c *PlatformConfig) checkReplicas() error {
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		return usageErrorf("--replicas %d: want a number from 1 to %d", c.Replicas, maxReplicas)
	}

	return nil
}

// checkPorts says whether there are ports for the doors of all gateways; the doors themselves were checked.
func (c *PlatformConfig) checkPorts() error {
	for _, door := range [][2]string{{"--http", c.HTTP}, {"--grpc", c.GRPC}} {
		if first := portOf(door[1]); first > 0 && first+c.Replicas-1 > 65535 {
			return usageErrorf("%s %q: with --replicas %d gateways take the ports from this one on, and the last would be beyond 65535",
				door[0], door[1], c.Replicas)
		}
	}

	rest, grpc := portOf(c.HTTP), portOf(c.GRPC)
	if apart := max(rest, grpc) - min(rest, grpc); rest > 0 && grpc > 0 && rest != grpc && apart < c.Replicas {
		return usageErrorf("--http %q and --grpc %q: with --replicas %d each takes so many ports from its own on, and those meet; "+
			"want them at least %d apart", c.HTTP, c.GRPC, c.Replicas, c.Replicas)
	}

	return nil
}

// portOf is the port of an address that was checked; 0 stands for any.
func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address) // as above
	number, _ := strconv.Atoi(port)          // as above

	return number
}

// doorOf is the address of a gateway's door: the first has the one that was asked for, the others the next ports.
func doorOf(address string, replica int) string {
	host, _, _ := net.SplitHostPort(address) // it was checked

	port := portOf(address)
	if port > 0 {
		port += replica
	}

	return net.JoinHostPort(host, strconv.Itoa(port))
}

// sharesSocket reports whether the replicas of a room accept at one socket: what is not reached through the mesh has one
// address, and whichever process is free takes the next connection.
func sharesSocket(listener string) bool { return listener == "llm" || listener == "retriever" }

// socket takes the socket of a replica's listener; first is the first replica, nil if this is it.
func (p *Platform) socket(listener string, config *workloadConfig, replica int, first *plannedWorkload) (*os.File, string, error) {
	if first != nil && sharesSocket(listener) {
		file, err := shareSocket(first.file(listener))

		return file, first.addresses[listener], err
	}

	switch {
	case config.Room == "gateway" && listener == "http":
		return p.listen("--http", doorOf(p.config.HTTP, replica))
	case listener == "public":
		return p.listen("--grpc", doorOf(p.config.GRPC, replica))
	default:
		return p.listen("a local port", "127.0.0.1:0")
	}
}

// shareSocket makes another handle of a listening socket, so that one replica's end does not take it from the others.
func shareSocket(file *os.File) (*os.File, error) {
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("share a socket: %w", err)
	}
	defer listener.Close() //nolint:errcheck // the new handle keeps the socket open

	shared, err := handleOf(listener.(*net.TCPListener)) //nolint:forcetypeassert // [Platform.listen] made it
	if err != nil {
		return nil, fmt.Errorf("share a socket: %w", err)
	}

	return shared, nil
}

// handleOf makes a handle of a listening socket to give to processes. Unlike that of [net.TCPListener.File], it does not switch
// the socket to blocking mode when a process gets it: the mode is that of all who accept there, and a process whose accept
// blocks can't drain.
func handleOf(listener *net.TCPListener) (*os.File, error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the socket: %w", err)
	}

	var (
		handle int
		failed error
	)

	err = raw.Control(func(socket uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()

		if handle, failed = syscall.Dup(int(socket)); failed == nil {
			syscall.CloseOnExec(handle)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("make a handle of the socket: %w", err)
	}

	return os.NewFile(uintptr(handle), listener.Addr().String()), nil
}

// replicaNotes are what a user may not expect of several replicas, a line each.
func (p *Platform) replicaNotes() []string {
	var notes []string

	if wanted := p.config.Replicas; p.config.replicasOf("context") < wanted {
		notes = append(notes, fmt.Sprintf("one %s runs, not %d: conversations are in a file, which one process writes; with --postgres there are %d",
			rpc.Context, wanted, wanted))
	}

	if limits := p.config.Door; p.config.Replicas > 1 && p.config.Redis == "" && limits.PerClient.PerSecond+limits.PerToken.PerSecond > 0 {
		notes = append(notes, "each gateway limits requests for itself; with --redis all do together")
	}

	return notes
}
