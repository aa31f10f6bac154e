package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/xds"
)

// servingState is whether connections are taken: a server of the mesh does so once the control plane sent it its
// listener, and no longer if that is taken away.
type servingState struct {
	mu  sync.Mutex
	err error
}

func newServingState(mesh bool) *servingState {
	state := &servingState{}

	if mesh {
		state.err = errors.New("the control plane has not sent this server's listener yet")
	}

	return state
}

// changed is called by the server when its mode changes.
func (s *servingState) changed(address net.Addr, args xds.ServingModeChangeArgs) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if args.Mode != connectivity.ServingModeServing {
		s.err = fmt.Errorf("the control plane keeps %s from serving: %w", address, args.Err)

		return
	}

	s.err = nil
}

func (s *servingState) current() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.err
}

// CheckServing returns nil while the server takes connections, else why it does not. It is a check for readiness.
func (s *Server) CheckServing(context.Context) error { return s.state.current() }
