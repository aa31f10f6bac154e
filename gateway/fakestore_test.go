package gateway

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// fakeStore is a ContextService in memory that keeps the promises which the gateway rests on: sequences without gaps,
// one active turn, idempotent appends, epochs, and followers that get everything once per stream.
type fakeStore struct {
	contextv1.UnimplementedContextServiceServer

	mu            sync.Mutex
	changed       chan struct{} // closed and replaced by each change
	conversations map[string]*contextv1.Conversation
	logs          map[string][]*eventv1.Event
	turns         map[string]*contextv1.Turn
	requests      map[string]fakeRequest
	shown         map[string][]*eventv1.Event // transient events by conversation, in order
	followers     int
	grace         time.Duration        // of new turns, before others may take them
	pins          map[[2]string]string // conversation and agent -> revision
	forced        map[[2]string]string
	withdrawn     map[[2]string]string // agent and revision -> replacement
	memories      []*contextv1.Memory
	appending     func(context.Context) // called first by each Append; may be nil
}

type fakeRequest struct {
	digest   string
	response *contextv1.AppendResponse
	created  string
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		changed: make(chan struct{}), conversations: map[string]*contextv1.Conversation{}, logs: map[string][]*eventv1.Event{},
		turns: map[string]*contextv1.Turn{}, requests: map[string]fakeRequest{}, shown: map[string][]*eventv1.Event{},
		grace: 2 * time.Second,
		pins:  map[[2]string]string{}, forced: map[[2]string]string{}, withdrawn: map[[2]string]string{},
	}
}

func (f *fakeStore) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeStore) CreateConversation(_ context.Context, req *contextv1.CreateConversationRequest) (*contextv1.CreateConversationResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if before, ok := f.requests[req.GetRequestId()]; ok {
		if before.digest != req.GetAgent() {
			return nil, fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED", "reused")
		}

		return &contextv1.CreateConversationResponse{Conversation: f.snapshot(before.created)}, nil
	}

	id := newID("c")
	f.conversations[id] = &contextv1.Conversation{
		ConversationId: id, Tenant: req.GetTenant(), User: req.GetUser(), Agent: req.GetAgent(), CreatedAt: timestamppb.Now(),
	}
	f.add(id, &eventv1.Event{Kind: &eventv1.Event_ConversationCreated{ConversationCreated: &eventv1.ConversationCreated{Agent: req.GetAgent()}}})
	f.requests[req.GetRequestId()] = fakeRequest{digest: req.GetAgent(), created: id}

	return &contextv1.CreateConversationResponse{Conversation: f.snapshot(id)}, nil
}

// snapshot is a copy of a conversation with its active turn.
func (f *fakeStore) snapshot(id string) *contextv1.Conversation {
	conversation := proto.CloneOf(f.conversations[id])
	if active := conversation.GetActiveTurn(); active != nil {
		conversation.ActiveTurn = proto.CloneOf(f.turns[active.GetTurnId()])
	}

	return conversation
}

func (f *fakeStore) GetConversation(_ context.Context, req *contextv1.GetConversationRequest) (*contextv1.GetConversationResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.conversations[req.GetConversationId()] == nil {
		return nil, fault.New(codes.NotFound, "NOT_FOUND", "conversation")
	}

	return &contextv1.GetConversationResponse{Conversation: f.snapshot(req.GetConversationId())}, nil
}

func (f *fakeStore) DeleteConversation(_ context.Context, req *contextv1.DeleteConversationRequest) (*contextv1.DeleteConversationResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	conversation := f.conversations[req.GetConversationId()]

	switch {
	case conversation == nil:
		return nil, fault.New(codes.NotFound, "CONVERSATION_NOT_FOUND", "no conversation")
	case conversation.GetActiveTurn() != nil && !req.GetForce():
		return nil, fault.New(codes.FailedPrecondition, "TURN_IN_PROGRESS", "a turn runs")
	}

	delete(f.conversations, req.GetConversationId())

	return &contextv1.DeleteConversationResponse{}, nil
}

func (f *fakeStore) ListConversations(_ context.Context, req *contextv1.ListConversationsRequest) (*contextv1.ListConversationsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	ids := slices.Sorted(maps.Keys(f.conversations))
	slices.Reverse(ids)

	page := &contextv1.ListConversationsResponse{}

	for _, id := range ids {
		c := f.conversations[id]
		if c.GetTenant() != req.GetTenant() || req.GetUser() != "" && c.GetUser() != req.GetUser() || req.GetPageToken() != "" && id >= req.GetPageToken() {
			continue
		}

		if len(page.GetConversations()) == int(cmp.Or(req.GetPageSize(), 50)) {
			page.NextPageToken = page.GetConversations()[len(page.GetConversations())-1].GetConversationId()

			break
		}

		page.Conversations = append(page.Conversations, f.snapshot(id))
	}

	return page, nil
}

// add appends events as they are, and folds them into the turn.
func (f *fakeStore) add(id string, events ...*eventv1.Event) (first, last int64) {
	conversation := f.conversations[id]

	for _, event := range events {
		event = proto.CloneOf(event)
		event.ConversationId, event.Sequence, event.Time = id, conversation.GetVersion()+1, timestamppb.Now()
		conversation.Version = event.GetSequence()
		f.logs[id] = append(f.logs[id], event)
		f.fold(conversation, event)

		first = cmp.Or(first, event.GetSequence())
	}

	f.wake()

	return first, conversation.GetVersion()
}

func (f *fakeStore) fold(conversation *contextv1.Conversation, event *eventv1.Event) {
	turn := f.turns[event.GetTurnId()]

	end := func(status contextv1.TurnStatus) {
		turn.Status, turn.LeaseHolder, conversation.ActiveTurn = status, "", nil
	}

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		conversation.Agent = cmp.Or(kind.TurnAccepted.GetAgent(), conversation.GetAgent())
		turn = &contextv1.Turn{
			TurnId: event.GetTurnId(), ConversationId: conversation.GetConversationId(), Tenant: conversation.GetTenant(),
			Agent: conversation.GetAgent(), Status: contextv1.TurnStatus_TURN_STATUS_RUNNING, Epoch: 1,
			LeaseExpiresAt: timestamppb.New(time.Now().Add(f.grace)), Deadline: kind.TurnAccepted.GetDeadline(),
			Visited: []*contextv1.Visit{{Agent: conversation.GetAgent()}}, AcceptedSequence: event.GetSequence(),
		}
		f.turns[turn.GetTurnId()], conversation.ActiveTurn = turn, turn

		for agent, revision := range kind.TurnAccepted.GetForcedRevisions() {
			f.forced[[2]string{conversation.GetConversationId(), agent}] = revision
		}
	case *eventv1.Event_TurnWaiting:
		turn.Status, turn.LeaseHolder, turn.WaitingCallIds = contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED, "", kind.TurnWaiting.GetCallIds()
	case *eventv1.Event_InputResolved:
		turn.WaitingCallIds = slices.DeleteFunc(turn.GetWaitingCallIds(), func(id string) bool { return id == kind.InputResolved.GetCallId() })
		if len(turn.GetWaitingCallIds()) == 0 {
			turn.Status, turn.LeaseExpiresAt = contextv1.TurnStatus_TURN_STATUS_RUNNING, timestamppb.Now()
		}
	case *eventv1.Event_CancelRequested:
		turn.CancelRequested, turn.Status = true, contextv1.TurnStatus_TURN_STATUS_RUNNING
	case *eventv1.Event_Handoff:
		turn.Agent, conversation.Agent = kind.Handoff.GetToAgent(), kind.Handoff.GetToAgent()
		turn.Epoch, turn.LeaseHolder, turn.LeaseExpiresAt = turn.GetEpoch()+1, "", timestamppb.New(time.Now().Add(f.grace))
	case *eventv1.Event_TurnCompleted:
		end(contextv1.TurnStatus_TURN_STATUS_COMPLETED)
	case *eventv1.Event_TurnFailed:
		end(contextv1.TurnStatus_TURN_STATUS_FAILED)
	case *eventv1.Event_TurnCancelled:
		end(contextv1.TurnStatus_TURN_STATUS_CANCELLED)
	}
}

func (f *fakeStore) Append(ctx context.Context, req *contextv1.AppendRequest) (*contextv1.AppendResponse, error) {
	if f.appending != nil {
		f.appending(ctx)
	}

	f.mu.Lock()
	defer f.mu.Unlock()

	conversation := f.conversations[req.GetConversationId()]
	if conversation == nil {
		return nil, fault.New(codes.NotFound, "NOT_FOUND", "conversation")
	}

	key := req.GetConversationId() + "|" + req.GetRequestId()
	if before, ok := f.requests[key]; ok {
		if before.digest != req.GetRequestDigest() {
			return nil, fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED", "request id %s came with other contents before", req.GetRequestId())
		}

		response := proto.CloneOf(before.response)
		response.Replayed = true

		return response, nil
	}

	if err := f.check(conversation, req); err != nil {
		return nil, err
	}

	first, version := f.add(req.GetConversationId(), req.GetEvents()...)
	response := &contextv1.AppendResponse{
		FirstSequence: first, Version: version, Turn: f.view(f.turns[req.GetEvents()[0].GetTurnId()]),
	}
	f.requests[key] = fakeRequest{digest: req.GetRequestDigest(), response: response}

	return response, nil
}

func (f *fakeStore) check(conversation *contextv1.Conversation, req *contextv1.AppendRequest) error {
	for _, event := range req.GetEvents() {
		switch event.GetKind().(type) {
		case *eventv1.Event_TurnAccepted:
			if conversation.GetActiveTurn() != nil {
				return fault.New(codes.FailedPrecondition, "TURN_IN_PROGRESS", "a turn runs already")
			}

			continue
		case *eventv1.Event_FeedbackGiven:
			continue
		}

		turn := f.turns[event.GetTurnId()]

		switch {
		case turn == nil || conversation.GetActiveTurn() == nil:
			return fault.New(codes.FailedPrecondition, "TURN_ENDED", "the turn ended")
		case req.GetLease() != nil && req.GetLease().GetEpoch() != turn.GetEpoch():
			return fault.New(codes.FailedPrecondition, "STALE_EPOCH", "epoch %d, not %d", turn.GetEpoch(), req.GetLease().GetEpoch())
		}
	}

	return nil
}

func (f *fakeStore) ReadEvents(_ context.Context, req *contextv1.ReadEventsRequest) (*contextv1.ReadEventsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	log := f.logs[req.GetConversationId()]
	from := min(max(req.GetFromSequence(), 1), int64(len(log))+1)
	page := log[from-1:]

	return &contextv1.ReadEventsResponse{
		Events: page[:min(len(page), int(cmp.Or(req.GetLimit(), 1000)))], Version: int64(len(log)),
	}, nil
}

func (f *fakeStore) FollowEvents(req *contextv1.FollowEventsRequest, stream grpc.ServerStreamingServer[contextv1.FollowEventsResponse]) error {
	f.mu.Lock()
	next, shown := max(req.GetFromSequence(), 1), len(f.shown[req.GetConversationId()])
	f.followers++
	f.mu.Unlock()

	defer func() {
		f.mu.Lock()
		f.followers--
		f.mu.Unlock()
	}()

	for {
		f.mu.Lock()
		log, transient := f.logs[req.GetConversationId()], f.shown[req.GetConversationId()]
		changed := f.changed
		f.mu.Unlock()

		var batch []*eventv1.Event
		if int(next) <= len(log) {
			batch = append(batch, log[next-1:]...)
			next = int64(len(log)) + 1
		}

		if req.GetTransient() && shown < len(transient) {
			batch = append(batch, transient[shown:]...)
			shown = len(transient)
		}

		for chunk := range slices.Chunk(batch, 64) {
			if err := stream.Send(&contextv1.FollowEventsResponse{Events: chunk}); err != nil {
				return err
			}
		}

		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-changed:
		}
	}
}

func (f *fakeStore) ListResumableTurns(context.Context, *contextv1.ListResumableTurnsRequest) (*contextv1.ListResumableTurnsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	page := &contextv1.ListResumableTurnsResponse{}

	for _, turn := range f.turns {
		if turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_RUNNING && !turn.GetLeaseExpiresAt().AsTime().After(time.Now()) {
			page.Turns = append(page.Turns, f.view(turn))
		}
	}

	return page, nil
}

func (f *fakeStore) GetTurn(_ context.Context, req *contextv1.GetTurnRequest) (*contextv1.GetTurnResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	turn := f.turns[req.GetTurnId()]
	if turn == nil {
		return nil, fault.New(codes.NotFound, "NOT_FOUND", "turn")
	}

	return &contextv1.GetTurnResponse{Turn: f.view(turn)}, nil
}

// view is a copy of a turn with the revision that its owner must have.
func (f *fakeStore) view(turn *contextv1.Turn) *contextv1.Turn {
	turn = proto.CloneOf(turn)
	key := [2]string{turn.GetConversationId(), turn.GetAgent()}

	if turn != nil {
		turn.PinnedRevision = f.heir(turn.GetAgent(), cmp.Or(f.pins[key], f.forced[key]))
	}

	return turn
}

// heir is the revision that took over, or the revision itself.
func (f *fakeStore) heir(agent, revision string) string {
	for replacement := revision; replacement != ""; replacement = f.withdrawn[[2]string{agent, revision}] {
		revision = replacement
	}

	return revision
}

// withdraw takes a revision out of service.
func (f *fakeStore) withdraw(agent, revision, replacement string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.withdrawn[[2]string{agent, revision}] = replacement
}

// pin decides whether the revision may take the turn, as AcquireLease does.
func (f *fakeStore) pin(turn *contextv1.Turn, revision string) error {
	if pinned := f.view(turn).GetPinnedRevision(); pinned != "" && pinned != revision {
		return fault.New(codes.FailedPrecondition, "WRONG_REVISION", "keeps %s", pinned).With("pinned_revision", pinned)
	}

	if heir := f.heir(turn.GetAgent(), revision); heir != revision {
		return fault.New(codes.FailedPrecondition, "REVISION_WITHDRAWN", "withdrawn").With("replacement", heir)
	}

	f.pins[[2]string{turn.GetConversationId(), turn.GetAgent()}] = revision

	return nil
}

// acquire is AcquireLease as a fake agent calls it.
func (f *fakeStore) acquire(turnID, agent, revision string) (*contextv1.Turn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	turn := f.turns[turnID]

	switch {
	case turn == nil:
		return nil, fault.New(codes.NotFound, "NOT_FOUND", "turn")
	case turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED:
		return nil, fault.New(codes.FailedPrecondition, "TURN_WAITING", "waits")
	case turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_RUNNING:
		return nil, fault.New(codes.FailedPrecondition, "TURN_ENDED", "ended")
	case turn.GetAgent() != agent:
		return nil, fault.New(codes.FailedPrecondition, "NOT_OWNER", "owner is %s", turn.GetAgent()).With("owner", turn.GetAgent())
	case turn.GetLeaseHolder() != "" && turn.GetLeaseExpiresAt().AsTime().After(time.Now()):
		return nil, fault.New(codes.FailedPrecondition, "LEASE_HELD", "held")
	}

	if err := f.pin(turn, revision); err != nil {
		return nil, err
	}

	turn.Epoch++
	turn.LeaseHolder, turn.LeaseExpiresAt = agent, timestamppb.New(time.Now().Add(time.Minute))
	turn.Segment++
	f.add(turn.GetConversationId(), &eventv1.Event{
		TurnId: turnID, Agent: agent, Epoch: turn.GetEpoch(), Segment: turn.GetSegment(),
		Kind: &eventv1.Event_SegmentStarted{SegmentStarted: &eventv1.SegmentStarted{Agent: agent}},
	})

	return proto.CloneOf(turn), nil
}

// write is Append as a fake agent calls it.
func (f *fakeStore) write(turn *contextv1.Turn, kinds ...any) error {
	events := make([]*eventv1.Event, 0, len(kinds))
	for _, kind := range kinds {
		events = append(events, fakeEvent(turn.GetTurnId(), turn.GetAgent(), kind))
	}

	_, err := f.Append(context.Background(), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: newID("w"), Events: events,
		Lease: &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()},
	})

	return err
}

// publish shows a transient event.
func (f *fakeStore) publish(turn *contextv1.Turn, kind any) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.shown[turn.GetConversationId()] = append(f.shown[turn.GetConversationId()], fakeEvent(turn.GetTurnId(), turn.GetAgent(), kind))
	f.wake()
}

// lose makes a turn look as if its executor had died.
func (f *fakeStore) lose(turnID string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.turns[turnID].LeaseExpiresAt = timestamppb.New(time.Now().Add(-time.Second))
	f.wake()
}

func (f *fakeStore) followerCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.followers
}

func (f *fakeStore) log(conversationID string) []*eventv1.Event {
	f.mu.Lock()
	defer f.mu.Unlock()

	return slices.Clone(f.logs[conversationID])
}

// fakeEvent wraps a kind's message.
func fakeEvent(turnID, agent string, kind any) *eventv1.Event {
	event := &eventv1.Event{TurnId: turnID, Agent: agent}

	switch kind := kind.(type) {
	case *eventv1.AgentMessage:
		event.Kind = &eventv1.Event_AgentMessage{AgentMessage: kind}
	case *eventv1.InputRequested:
		event.Kind = &eventv1.Event_InputRequested{InputRequested: kind}
	case *eventv1.InputResolved:
		event.Kind = &eventv1.Event_InputResolved{InputResolved: kind}
	case *eventv1.TurnWaiting:
		event.Kind = &eventv1.Event_TurnWaiting{TurnWaiting: kind}
	case *eventv1.TurnAccepted:
		event.Kind = &eventv1.Event_TurnAccepted{TurnAccepted: kind}
	case *eventv1.SegmentStarted:
		event.Kind = &eventv1.Event_SegmentStarted{SegmentStarted: kind}
	case *eventv1.SegmentRestarted:
		event.Kind = &eventv1.Event_SegmentRestarted{SegmentRestarted: kind}
	case *eventv1.SegmentResumed:
		event.Kind = &eventv1.Event_SegmentResumed{SegmentResumed: kind}
	case *eventv1.Handoff:
		event.Kind = &eventv1.Event_Handoff{Handoff: kind}
	case *eventv1.CancelRequested:
		event.Kind = &eventv1.Event_CancelRequested{CancelRequested: kind}
	case *eventv1.TurnCompleted:
		event.Kind = &eventv1.Event_TurnCompleted{TurnCompleted: kind}
	case *eventv1.TurnFailed:
		event.Kind = &eventv1.Event_TurnFailed{TurnFailed: kind}
	case *eventv1.TurnCancelled:
		event.Kind = &eventv1.Event_TurnCancelled{TurnCancelled: kind}
	case *eventv1.TextDelta:
		event.Kind = &eventv1.Event_TextDelta{TextDelta: kind}
	case *eventv1.FeedbackGiven:
		event.Kind = &eventv1.Event_FeedbackGiven{FeedbackGiven: kind}
	default:
		panic(fmt.Sprintf("no event for %T", kind))
	}

	return event
}
