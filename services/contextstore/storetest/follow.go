package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
)

func followTests() map[string]func(*world) {
	return map[string]func(*world){
		"ReplayThenLive":          replayThenLive,
		"FromTheMiddle":           fromTheMiddle,
		"FollowUnknown":           followUnknown,
		"FollowersUnderLoad":      followersUnderLoad,
		"SlowFollowerReadsTheLog": slowFollowerReadsTheLog,
		"HopelessFollowerIsTold":  hopelessFollowerIsTold,
		"FollowSeesOtherStore":    followSeesOtherStore,
		"FollowEndsWithDrain":     followEndsWithDrain,
	}
}

// following is a FollowEvents stream and what came from it.
type following struct {
	*world

	stream grpc.ServerStreamingClient[contextv1.FollowEventsResponse]
	ahead  []*eventv1.Event
}

// follow opens a stream and returns once it follows.
func (w *world) follow(conversationID string, from int64, transient bool) *following {
	w.Helper()

	ctx, cancel := context.WithTimeout(w.gateway(), 2*patience)
	w.Cleanup(cancel)

	stream, err := w.client.FollowEvents(ctx, &contextv1.FollowEventsRequest{
		ConversationId: conversationID, FromSequence: from, Transient: transient,
	})
	w.ok(err)

	_, err = stream.Header()
	w.ok(err)

	return &following{world: w, stream: stream}
}

// next returns the next event.
func (f *following) next() *eventv1.Event {
	f.Helper()

	for len(f.ahead) == 0 {
		response, err := f.stream.Recv()
		f.ok(err)

		f.ahead = response.GetEvents()
	}

	event := f.ahead[0]
	f.ahead = f.ahead[1:]

	return event
}

// durable returns the next event, which must be the one of the sequence.
func (f *following) durable(sequence int64) *eventv1.Event {
	f.Helper()

	event := f.next()
	same(f.world, "sequence", event.GetSequence(), sequence)

	return event
}

func replayThenLive(w *world) {
	turn, lease := w.running()
	follower := w.follow(turn.GetConversationId(), 0, false)

	for sequence := range int64(4) {
		follower.durable(sequence + 1)
	}

	for i := range 3 {
		_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part(strconv.Itoa(i)))
		w.ok(err)
		same(w, "text", follower.durable(int64(5+i)).GetMessagePart().GetText(), strconv.Itoa(i))
	}
}

func fromTheMiddle(w *world) {
	turn, lease := w.running()
	follower := w.follow(turn.GetConversationId(), 3, false)
	follower.durable(3)
	follower.durable(4)

	future := w.follow(turn.GetConversationId(), 6, false)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("five"), part("six"))
	w.ok(err)
	follower.durable(5)
	follower.durable(6)
	future.durable(6)
}

func followUnknown(w *world) {
	_, err := w.follow("c0", 0, false).stream.Recv()
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

// followersUnderLoad: readers that come at any time get every event once and in order, while several write at once.
func followersUnderLoad(w *world) {
	const writers, each = 4, 50

	turn, lease := w.running()
	last := int64(4 + writers*each)

	var group sync.WaitGroup

	for range 6 {
		group.Go(func() {
			follower := w.follow(turn.GetConversationId(), 0, true)
			for sequence := range last {
				follower.durable(sequence + 1)
			}
		})
	}

	parallel(writers, func(writer int) {
		for i := range each {
			_, err := w.client.Append(w.as(triage), &contextv1.AppendRequest{
				ConversationId: turn.GetConversationId(), RequestId: fmt.Sprintf("load-%d-%d", writer, i), Lease: lease,
				Events: []*eventv1.Event{part("x")},
			})
			if err != nil {
				w.Error(err)
			}
		}
	})
	group.Wait()
}

// slowFollower makes a world whose followers have small buffers, and a follower that reads the first four events and no
// more: flow control holds it up while far more than it may buffer is appended. It has read the log to its end by then,
// and looks into it again only when it lost something.
func (w *world) slowFollower(lag int64) (follower *following, last int64) {
	w.Helper()

	small := newWorldWith(w.tester, contextstore.Config{
		Store: unclosed{w.store}, FollowBuffer: 4, FollowLag: lag, FollowPoll: time.Hour,
	})
	turn, lease := small.running()
	follower = small.follow(turn.GetConversationId(), 0, true)

	for sequence := range int64(4) {
		follower.durable(sequence + 1)
	}

	text := string(make([]byte, 64<<10))

	for range 100 {
		response, err := small.append(small.as(triage), turn.GetConversationId(), lease, part(text))
		small.ok(err)

		last = response.GetVersion()
	}

	return follower, last
}

func slowFollowerReadsTheLog(w *world) {
	follower, last := w.slowFollower(0)
	for sequence := int64(5); sequence <= last; sequence++ {
		follower.durable(sequence)
	}
}

func hopelessFollowerIsTold(w *world) {
	follower, _ := w.slowFollower(10)

	var next int64 = 5

	for {
		response, err := follower.stream.Recv()
		if err != nil {
			told := w.refused(err, "READER_TOO_SLOW")
			same(w, "code", told.code, codes.ResourceExhausted)
			same(w, "next sequence", told.metadata["next_sequence"], strconv.FormatInt(next, 10))

			return
		}

		next += int64(len(response.GetEvents()))
	}
}

// followSeesOtherStore: another process over the same store appends, so that no notice comes.
func followSeesOtherStore(w *world) {
	reads := newWorldWith(w.tester, contextstore.Config{Store: unclosed{w.store}, FollowPoll: 10 * time.Millisecond})
	turn, lease := w.running()
	follower := reads.follow(turn.GetConversationId(), 4, false)
	follower.durable(4)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("elsewhere"))
	w.ok(err)
	follower.durable(5)
}

func followEndsWithDrain(w *world) {
	follower := w.follow(w.open().GetConversationId(), 0, false)
	follower.durable(1)
	w.service.Drain()

	_, err := follower.stream.Recv()
	w.refused(err, "DRAINING")

	if errors.Is(err, context.DeadlineExceeded) {
		w.Fatal("the stream ended by its deadline")
	}
}
