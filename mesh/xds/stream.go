package xds

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

type adsStream = discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer

// stream is one client of the control plane.
type stream struct {
	id              uint64
	node            string
	namespace, name string
	since           time.Time
	// wake says that there may be something to send.
	wake chan struct{}

	mu       sync.Mutex
	channels [types]*channel
}

// StreamAggregatedResources serves one client, until it goes, does not answer any more, or the server ends.
func (s *Server) StreamAggregatedResources(ads adsStream) error {
	first, err := ads.Recv()
	if err != nil {
		return ended(err)
	}

	stream, err := s.admit(ads, first)
	if err != nil {
		return err
	}

	defer s.leave(stream)

	s.config.Logger.Debug("a proxy came", "node", stream.node, "peer", stream.name)
	s.receive(stream, first)

	over := make(chan error, 2)
	go func() { over <- s.listen(stream, ads) }()
	go func() { over <- s.tell(stream, ads) }() // ends with the context, so after this method

	err = s.attend(stream, ads, over)
	s.config.Logger.Debug("a proxy went", "node", stream.node, "peer", stream.name, "reason", err)

	return err
}

// admit checks that the peer speaks for its own namespace.
func (s *Server) admit(ads adsStream, first *discoveryv3.DiscoveryRequest) (*stream, error) {
	namespace, name, ok := s.config.Identity(ads.Context())
	if !ok {
		return nil, fault.New(codes.Unauthenticated, "NO_IDENTITY", "the control plane needs a client certificate with a SPIFFE ID")
	}

	node := first.GetNode().GetId()

	claimed, err := nodeNamespace(node)
	if err != nil {
		return nil, err
	}

	if claimed != namespace {
		return nil, fault.New(codes.PermissionDenied, "FOREIGN_NODE", "node.id %q is of namespace %q: %s/%s may speak for its own only",
			node, claimed, namespace, name)
	}

	stream := &stream{node: node, namespace: namespace, name: name, since: time.Now(), wake: make(chan struct{}, 1)}

	s.mu.Lock()
	defer s.mu.Unlock()

	s.lastID++
	stream.id = s.lastID
	s.streams[stream] = struct{}{}

	return stream, nil
}

// nodeNamespace reads it from a node's name as Istio forms it: sidecar~IP~pod.namespace~namespace.svc.cluster.local.
func nodeNamespace(node string) (string, error) {
	parts := strings.Split(node, "~")
	if len(parts) != 4 {
		return "", fault.New(codes.InvalidArgument, "INVALID_NODE",
			"node.id %q must look like sidecar~IP~pod.namespace~namespace.%s", node, Domain)
	}

	namespace, _, _ := strings.Cut(parts[3], ".")

	return namespace, nil
}

func (s *Server) leave(stream *stream) {
	s.mu.Lock()
	delete(s.streams, stream)
	s.mu.Unlock()

	s.learned()
}

// attend waits for the end of a stream.
func (s *Server) attend(stream *stream, ads adsStream, over <-chan error) error {
	grace := max(s.config.AckTimeout/8, time.Millisecond)
	tick := time.NewTicker(grace)
	defer tick.Stop()

	for {
		select {
		case err := <-over:
			return err
		case <-ads.Context().Done():
			return fault.From(ads.Context().Err())
		case <-s.done:
			return fault.New(codes.Unavailable, "STOPPING", "the control plane is stopping")
		case now := <-tick.C:
			if kind, late := stream.late(now, s.config.AckTimeout, grace); late {
				s.config.Logger.Warn("a proxy did not answer and is let go", "node", stream.node, "type", kind.String())

				return fault.New(codes.DeadlineExceeded, "NO_ACK", "%s was not answered within %v", kind, s.config.AckTimeout)
			}
		}
	}
}

// ended makes the end of a stream what the client is told: nothing if it wished so itself.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}

	return fault.From(err)
}

func (s *Server) listen(stream *stream, ads adsStream) error {
	for {
		request, err := ads.Recv()
		if err != nil {
			return ended(err)
		}

		s.receive(stream, request)
	}
}

// tell sends what there is to send, whenever there may be something.
func (s *Server) tell(stream *stream, ads adsStream) error {
	for {
		for response := stream.next(s.world.Load()); response != nil; response = stream.next(s.world.Load()) {
			if err := ads.Send(response); err != nil {
				return ended(err)
			}
		}

		select {
		case <-stream.wake:
		case <-ads.Context().Done():
			return errors.New("the stream ended")
		}
	}
}

// receive takes a request: the names that are wanted from now on, and an answer to a response.
func (s *Server) receive(stream *stream, request *discoveryv3.DiscoveryRequest) {
	kind, ok := typeOf(request.GetTypeUrl())
	if !ok {
		s.config.Logger.Debug("a proxy asks for a type that is not served", "node", stream.node, "type", request.GetTypeUrl())

		return
	}

	if refusal := refusalOf(request); refusal != "" {
		s.config.Logger.Error("a proxy refused resources", "node", stream.node, "type", kind.String(), "reason", refusal)
	}

	stream.take(kind, request, time.Now())
	s.learned()
}

func refusalOf(request *discoveryv3.DiscoveryRequest) string {
	if request.GetErrorDetail() == nil {
		return ""
	}

	return fmt.Sprintf("%s: %s", codes.Code(request.GetErrorDetail().GetCode()), request.GetErrorDetail().GetMessage()) //nolint:gosec // a code
}

func (s *stream) take(kind Type, request *discoveryv3.DiscoveryRequest, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.channels[kind] == nil {
		s.channels[kind] = &channel{kind: kind}
	}

	// The names count even if the answer is to an older response: requests arrive in order, and who leaves a resource
	// and takes it up again in between waits for it anew.
	s.channels[kind].subscribe(request.GetResourceNames())
	s.channels[kind].answer(request.GetResponseNonce(), refusalOf(request), now)
	s.poke()
}

func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next is the response that is due, nil if there is none. A type waits until the types before it are answered: who
// refuses clusters still gets the routes, who has not said so yet does not.
func (s *stream) next(world *world) *discoveryv3.DiscoveryResponse {
	s.mu.Lock()
	defer s.mu.Unlock()

	for _, channel := range s.channels {
		switch {
		case channel == nil:
		case channel.underway:
			return nil
		case channel.wants(world.resources):
			return channel.respond(world, time.Now())
		}
	}

	return nil
}

// late reports whether a response should have been answered long ago.
func (s *stream) late(now time.Time, timeout, grace time.Duration) (Type, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for kind, channel := range s.channels {
		if channel != nil && channel.late(now, timeout, grace) {
			return Type(kind), true
		}
	}

	return 0, false
}
