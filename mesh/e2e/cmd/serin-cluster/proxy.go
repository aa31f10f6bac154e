package main

import (
	"io"
	"net"
	"sync"
)

// forward copies every connection that the listener accepts to the address and back, until it is stopped.
func forward(listener net.Listener, to string) (stop func()) {
	proxy := &proxy{to: to, open: map[net.Conn]bool{}}

	proxy.tasks.Go(func() { proxy.accept(listener) })

	return func() {
		_ = listener.Close() // which ends accept
		proxy.close()
		proxy.tasks.Wait()
	}
}

type proxy struct {
	to    string
	tasks sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func (p *proxy) accept(listener net.Listener) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}

		p.tasks.Go(func() { p.relay(from) })
	}
}

// relay copies both ways until either side ends.
func (p *proxy) relay(from net.Conn) {
	defer p.track(from)()

	to, err := net.Dial("tcp", p.to) //nolint:noctx // it is near, or it is gone
	if err != nil {
		return // the client sees a closed connection, as it would without a proxy
	}
	defer p.track(to)()

	done := make(chan struct{}, 2)

	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		p.tasks.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // either end may go at any time

			done <- struct{}{}
		})
	}

	<-done
}

// track has the connection closed when it is done, or with the proxy.
func (p *proxy) track(connection net.Conn) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.closed {
		_ = connection.Close() // too late
	}

	p.open[connection] = true

	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()

		_ = connection.Close() // it has ended already, or is ended by this
		delete(p.open, connection)
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.closed = true

	for connection := range p.open {
		_ = connection.Close()
	}
}
