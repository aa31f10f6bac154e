package xds

import "time"

// Stream is what the control plane knows of one client.
type Stream struct {
	// Node is what the client calls itself; Namespace and Name are who its certificate says that it is.
	Node, Namespace, Name string
	Since                 time.Time
	// Resources is how many it asked for, Behind how many of them it does not have as they are.
	Resources, Behind int
	// Refused counts responses that it did not take; Problem is why it does not take what it was sent last.
	Refused int
	Problem string
}

// Streams returns the clients that are connected, the oldest first.
func (s *Server) Streams() []Stream {
	resources := s.world.Load().resources
	streams := s.open()
	described := make([]Stream, len(streams))

	for i, stream := range streams {
		described[i] = stream.describe(resources)
	}

	return described
}

func (s *stream) describe(resources Resources) Stream {
	s.mu.Lock()
	defer s.mu.Unlock()

	described := Stream{Node: s.node, Namespace: s.namespace, Name: s.name, Since: s.since}

	for _, channel := range s.channels {
		if channel == nil {
			continue
		}

		described.Resources += len(channel.names)
		described.Refused += channel.nacks

		for name, held := range channel.names {
			if version := resources.version(channel.kind, name); version != held.acked && (version != "" || channel.kind.complete()) {
				described.Behind++
			}

			if held.refused != "" {
				described.Problem = held.refused
			}
		}
	}

	return described
}
