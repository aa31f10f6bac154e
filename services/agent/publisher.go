package agent

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// publisher shows transient events on one stream, opened when first needed. What can't be shown is dropped: a durable
// event always follows.
type publisher struct {
	store        contextv1.ContextServiceClient
	conversation string
	ref          *contextv1.LeaseRef
	// ctx is the work's: with it ends the stream.
	ctx context.Context

	mu     sync.Mutex
	stream grpc.ClientStreamingClient[contextv1.PublishRequest, contextv1.PublishResponse]
}

func (p *publisher) show(event *eventv1.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.stream == nil {
		stream, err := p.store.Publish(p.ctx)
		if err != nil {
			return
		}

		p.stream = stream
	}

	event.ConversationId, event.Time = p.conversation, timestamppb.Now()

	err := p.stream.Send(&contextv1.PublishRequest{
		Lease: p.ref, ConversationId: p.conversation, Events: []*eventv1.Event{event},
	})
	if err != nil {
		p.stream = nil
	}
}

// close ends the stream without waiting for the store's word.
func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.stream != nil {
		_ = p.stream.CloseSend() // transient events need no delivery
		p.stream = nil
	}
}
