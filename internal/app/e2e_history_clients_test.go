package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/history"
)

const (
	historyClients = 4
	// historyActs is how much each client does in one history.
	historyActs = 20
	// historyDoubts is how many operations of a history may stay without an answer: each makes the search longer.
	historyDoubts = 5
	// historyLimit is how long the search may take.
	historyLimit = 30 * time.Second
)

// scene is a turn that several clients write to, and what they were told.
type scene struct {
	*stores

	conversation, turn string
	record             *history.Recorder
	doubts             atomic.Int64
	count              atomic.Int64
}

func (s *stores) scene() *scene {
	conversation, turn := s.turn()

	return &scene{stores: s, conversation: conversation, turn: turn, record: history.NewRecorder()}
}

// play has clients act at the same time until each has done enough, or too much has no answer.
func (s *scene) play(random *rand.Rand, act func(client int, random *rand.Rand) func(number int)) {
	var group sync.WaitGroup

	for client := range historyClients {
		own := rand.New(rand.NewPCG(random.Uint64(), uint64(client)))
		next := act(client, own)

		group.Go(func() {
			for number := range historyActs {
				if s.doubts.Load() >= historyDoubts || s.t.Failed() {
					return
				}

				next(number)
				s.count.Add(1)
				<-time.After(time.Duration(own.IntN(20)) * time.Millisecond)
			}
		})
	}

	group.Wait()
}

// ask makes a call of any of the stores, and returns when it began.
func (s *scene) ask(random *rand.Rand, call func(context.Context, contextv1.ContextServiceClient) error) (began int64, err error) {
	ctx, cancel := s.as(historian)
	defer cancel()

	began = s.record.Now()

	return began, call(ctx, s.clients[random.IntN(len(s.clients))])
}

// note takes an answer down; refused says which refusal is one. It returns whether there was an answer.
func (s *scene) note(client int, began int64, asked, told, doubtful any, err error, refusal string) bool {
	switch {
	case err != nil && unheard(err):
		s.doubts.Add(1)
		s.record.Unanswered(client, asked, doubtful, began)
		<-time.After(100 * time.Millisecond) // as clients do

		return false
	case err != nil && !fault.Is(err, refusal):
		s.t.Errorf("%+v: %v", asked, err)

		return false
	}

	s.record.Answered(client, asked, told, began)

	return true
}

func (s *scene) part(id string) *eventv1.Event {
	return &eventv1.Event{Step: 1, Kind: &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{MessageId: id, Text: "."}}}
}

// logScene is a log that clients append to if it is as they saw it last.
type logScene struct {
	*scene

	lease *contextv1.LeaseRef
	// before are the events that were there already.
	before int64
}

func playLog(stores *stores, random *rand.Rand) (int, func() error) {
	s := &logScene{scene: stores.scene()}

	s.insist(historian, func(ctx context.Context, store contextv1.ContextServiceClient) error {
		leased, err := store.AcquireLease(ctx, acquisition(s.turn, "holder", 5*time.Minute))
		s.lease, s.before = &contextv1.LeaseRef{TurnId: s.turn, Epoch: leased.GetTurn().GetEpoch()}, leased.GetVersion()

		return err
	})

	s.play(random, func(client int, random *rand.Rand) func(int) {
		seen := int64(0)

		return func(number int) {
			if random.IntN(4) == 0 {
				seen = s.read(client, random, seen)
			} else {
				seen = s.append(client, random, fmt.Sprintf("%d.%d", client, number), seen)
			}
		}
	})

	return int(s.count.Load()), func() error { return history.CheckLog(s.conversation, s.record.Operations(), historyLimit) }
}

// read returns how many entries there are; a reading without an answer says nothing.
func (s *logScene) read(client int, random *rand.Rand, seen int64) int64 {
	var page *contextv1.ReadEventsResponse

	began, err := s.ask(random, func(ctx context.Context, store contextv1.ContextServiceClient) (err error) {
		page, err = store.ReadEvents(ctx, &contextv1.ReadEventsRequest{ConversationId: s.conversation, FromSequence: s.before + 1})

		return err
	})

	switch {
	case err != nil && unheard(err):
		return seen
	case err != nil:
		s.t.Errorf("read %s: %v", s.conversation, err)

		return seen
	}

	entries := []string{}
	for _, event := range page.GetEvents() {
		entries = append(entries, event.GetMessagePart().GetMessageId())
	}

	s.record.Answered(client, history.LogAsked{}, history.LogTold{Log: history.LogOf(entries)}, began)

	return int64(len(entries))
}

// append asks again under the same id for what it does not know, and gives up at times. It returns how many entries there
// are, as far as it knows.
func (s *logScene) append(client int, random *rand.Rand, entry string, seen int64) int64 {
	asked := history.LogAsked{Append: true, Entry: entry, Expected: seen}
	began := s.record.Now()

	for {
		var made *contextv1.AppendResponse

		_, err := s.ask(random, func(ctx context.Context, store contextv1.ContextServiceClient) (err error) {
			made, err = store.Append(ctx, &contextv1.AppendRequest{
				ConversationId: s.conversation, RequestId: entry, ExpectedVersion: new(s.before + seen), Lease: s.lease,
				Events: []*eventv1.Event{s.part(entry)},
			})

			return err
		})

		if err != nil && unheard(err) && random.IntN(5) > 0 {
			<-time.After(20 * time.Millisecond)

			continue
		}

		told := history.LogTold{Conflict: err != nil}
		if err == nil {
			told.Version = made.GetVersion() - s.before
		}

		if !s.note(client, began, asked, told, history.LogTold{Unknown: true}, err, "VERSION_CONFLICT") {
			return seen
		}

		if err != nil {
			return s.read(client, random, seen)
		}

		return told.Version
	}
}

func playHeldLease(stores *stores, random *rand.Rand) (int, func() error) {
	return playLease(stores, random, 5*time.Minute, false)
}

func playShortLease(stores *stores, random *rand.Rand) (int, func() error) {
	return playLease(stores, random, 100*time.Millisecond, true)
}

// playLease has clients take a lease, use it, give it back, and go on with it when it is another's.
func playLease(stores *stores, random *rand.Rand, ttl time.Duration, expires bool) (int, func() error) {
	s := stores.scene()

	s.play(random, func(client int, random *rand.Rand) func(int) {
		epoch := int64(0)

		return func(number int) {
			switch drawn := random.IntN(10); {
			case epoch == 0 || drawn < 4:
				epoch = s.acquire(client, random, ttl, epoch)
			case drawn < 6:
				s.use(client, random, history.Renew, epoch, number, ttl)
			case drawn < 8:
				s.use(client, random, history.Write, epoch, number, ttl)
			default:
				s.use(client, random, history.Release, epoch, number, ttl)
			}
		}
	})

	return int(s.count.Load()), func() error { return history.CheckLease(s.turn, 1, expires, s.record.Operations(), historyLimit) }
}

// acquire returns the epoch, or else the one before.
func (s *scene) acquire(client int, random *rand.Rand, ttl time.Duration, before int64) int64 {
	asked := history.LeaseAsked{Act: history.Acquire, Holder: fmt.Sprintf("holder%d", client)}

	var leased *contextv1.AcquireLeaseResponse

	began, err := s.ask(random, func(ctx context.Context, store contextv1.ContextServiceClient) (err error) {
		leased, err = store.AcquireLease(ctx, acquisition(s.turn, asked.Holder, ttl))

		return err
	})

	told := history.LeaseTold{Refused: err != nil, Epoch: leased.GetTurn().GetEpoch()}
	if s.note(client, began, asked, told, history.LeaseTold{Unknown: true}, err, "LEASE_HELD") && err == nil {
		return told.Epoch
	}

	return before
}

// use shows a lease, whether it is still the current one or not.
func (s *scene) use(client int, random *rand.Rand, act history.LeaseAct, epoch int64, number int, ttl time.Duration) {
	asked := history.LeaseAsked{Act: act, Holder: fmt.Sprintf("holder%d", client), Epoch: epoch}
	lease := &contextv1.LeaseRef{TurnId: s.turn, Epoch: epoch}

	began, err := s.ask(random, func(ctx context.Context, store contextv1.ContextServiceClient) (err error) {
		switch act {
		case history.Renew:
			_, err = store.RenewLease(ctx, &contextv1.RenewLeaseRequest{Lease: lease, Ttl: acquisition("", "", ttl).GetTtl()})
		case history.Release:
			_, err = store.ReleaseLease(ctx, &contextv1.ReleaseLeaseRequest{Lease: lease})
		default:
			_, err = store.Append(ctx, &contextv1.AppendRequest{
				ConversationId: s.conversation, RequestId: fmt.Sprintf("%d.%d", client, number), Lease: lease,
				Events: []*eventv1.Event{s.part(fmt.Sprintf("m%d", client))},
			})
		}

		return err
	})

	if act != history.Release && err != nil && unheard(err) {
		return // it changes nothing about the lease, whether it was made or not
	}

	s.note(client, began, asked, history.LeaseTold{Refused: err != nil}, history.LeaseTold{Unknown: true}, err, "STALE_EPOCH")
}
