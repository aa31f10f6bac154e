package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and its server, and is what goes wrong between them.
type proxy struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	// down says that connections are closed as soon as they are made; refused counts them.
	down    atomic.Bool
	refused chan struct{}
	// deaf says that what the store sends next is lost, with its connection.
	deaf atomic.Bool
	// mute is what the server says that is lost, with its connection, and everything after it until the proxy is up again.
	mute atomic.Pointer[muted]

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

type muted struct {
	tag  string
	down bool
}

// proxied starts a proxy in front of a database and returns the database's URL through it.
func proxied(tb testing.TB, at string) (through *proxy, behind string) {
	tb.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}

	behindIt := must(url.Parse(at))
	through = &proxy{listener: listener, server: behindIt.Host, refused: make(chan struct{}, 10000), conns: map[net.Conn]struct{}{}}
	through.running.Go(through.accept)

	tb.Cleanup(func() {
		listener.Close()
		through.cut()
		through.running.Wait()
	})

	behindIt.Host = listener.Addr().String()

	return through, behindIt.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}

		if p.down.Load() {
			client.Close()
			p.refused <- struct{}{}

			continue
		}

		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()

			continue
		}

		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()

		p.running.Go(func() { p.pass(client, server, p.hears) })
		p.running.Go(func() { p.pass(server, client, p.says) })
	}
}

// pass copies until either end closes, or what comes is to be lost.
func (p *proxy) pass(from, to net.Conn, good func([]byte) bool) {
	defer from.Close()
	defer to.Close()

	buffer := make([]byte, 64<<10)

	for {
		n, err := from.Read(buffer)
		if n > 0 && !good(buffer[:n]) {
			return
		}

		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

func (p *proxy) hears([]byte) bool { return !p.deaf.CompareAndSwap(true, false) }

func (p *proxy) says(what []byte) bool {
	lost := p.mute.Load()
	if lost == nil || !bytes.Contains(what, []byte(lost.tag)) || !p.mute.CompareAndSwap(lost, nil) {
		return true
	}

	if lost.down {
		p.fall()
	}

	return false
}

// fall closes all connections and takes no more.
func (p *proxy) fall() {
	p.down.Store(true)
	p.cut()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()

	for conn := range p.conns {
		conn.Close()
	}

	clear(p.conns)
}
