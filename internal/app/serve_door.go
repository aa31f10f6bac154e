package app

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// healthDoor is the listener for health and pages of a process that serves it before it has a room.
type healthDoor struct {
	serving serving
	pages   atomic.Pointer[http.Handler]
	done    chan struct{} // closed when it serves no longer, with why
	err     error
}

func newHealthDoor(pages http.Handler, listener net.Listener) *healthDoor {
	made := &healthDoor{done: make(chan struct{})}
	made.pages.Store(&pages)

	made.serving = httpServing("http", http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		(*made.pages.Load()).ServeHTTP(writer, request)
	}), listener)

	go func() {
		defer close(made.done)

		made.err = made.serving.serve()
	}()

	return made
}

// lead shows other pages from now on, and makes the door one of a room's servers.
func (d *healthDoor) lead(pages http.Handler) serving {
	d.pages.Store(&pages)

	return serving{
		name: d.serving.name,
		serve: func() error {
			<-d.done

			return d.err
		},
		stop: d.serving.stop,
	}
}

// close ends it, if nobody has.
func (d *healthDoor) close(ctx context.Context) error {
	err := d.serving.stop(ctx)
	<-d.done

	return err
}
