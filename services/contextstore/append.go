package contextstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Append adds events, and what they imply, in one transaction.
func (s *Service) Append(ctx context.Context, request *contextv1.AppendRequest) (*contextv1.AppendResponse, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return nil, err
	}

	by.lease = request.GetLease()
	if err := by.mayAppend(request.GetEvents()); err != nil {
		return nil, err
	}

	digest, err := requestDigest(request)
	if err != nil {
		return nil, err
	}

	var response *contextv1.AppendResponse

	err = s.update(ctx, aboutAppend(request), func(tx Tx) (changes, error) {
		prior, err := tx.Request(request.GetConversationId(), request.GetRequestId())

		switch {
		case err != nil:
			return changes{}, err
		case prior.Digest == "":
			break
		case prior.Digest != digest:
			return changes{}, requestReused(request.GetRequestId())
		default:
			response = prior.Response
			response.Replayed = true

			return changes{}, nil
		}

		after, err := s.append(tx, by, request)
		if err != nil {
			return changes{}, err
		}

		response = after.response()

		return after.changes(), tx.InsertRequest(Request{
			ConversationID: request.GetConversationId(), ID: request.GetRequestId(), Digest: digest, Response: response,
		})
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// aboutAppend is about the conversation. Which turn is meant may be known only from the rows.
func aboutAppend(request *contextv1.AppendRequest) About {
	turnID, ids := firstOf(request.GetLease().GetTurnId(), firstTurn(request.GetEvents())), callIDs(request.GetEvents())

	about := About{
		Conversation: request.GetConversationId(), Turn: turnID, Appends: turnID != "" && len(ids) == 0,
		Ahead: func(reader Reader, _ string) {
			_, _ = reader.Request(request.GetConversationId(), request.GetRequestId())
			_, _ = reader.Conversation(request.GetConversationId())

			if turnID != "" {
				_, _ = reader.Turn(turnID)
			}

			if len(ids) > 0 {
				_, _ = reader.Calls(request.GetConversationId(), ids)
			}
		},
	}

	if accepts(request.GetEvents()) {
		about.NewTurn, about.Appends = turnID, false
	}

	return about
}

// firstTurn returns the turn that the first event with one names.
func firstTurn(events []*eventv1.Event) string {
	for _, event := range events {
		if event.GetTurnId() != "" {
			return event.GetTurnId()
		}
	}

	return ""
}

// append reads the rows, decides, and writes.
func (s *Service) append(tx Tx, by writer, request *contextv1.AppendRequest) (appended, error) {
	before, err := s.before(tx, request)
	if err != nil {
		return appended{}, err
	}

	after, err := project(before, by, request.GetEvents(), s.now(tx))
	if err != nil {
		return appended{}, err
	}

	if err := after.write(tx); err != nil {
		return appended{}, err
	}

	if err := s.tell(tx, after.outcomes...); err != nil {
		return appended{}, err
	}

	return after, after.show(tx, before)
}

// before reads the rows that an append starts from.
func (s *Service) before(tx Tx, request *contextv1.AppendRequest) (rows, error) {
	conversation, err := tx.Conversation(request.GetConversationId())
	if err != nil {
		return rows{}, err
	}

	if request.ExpectedVersion != nil && request.GetExpectedVersion() != conversation.Version {
		return rows{}, fault.New(codes.Aborted, "VERSION_CONFLICT",
			"expected_version: conversation %s is at version %d, not %d", conversation.ID, conversation.Version,
			request.GetExpectedVersion()).With("version", strconv.FormatInt(conversation.Version, 10))
	}

	turn, err := turnBefore(tx, conversation, request)
	if err != nil {
		return rows{}, err
	}

	found := rows{conversation: conversation, turn: turn}
	if turn != nil {
		if found.pinned, err = newPinner(tx).revision(turn); err != nil {
			return rows{}, err
		}
	}

	if ids := callIDs(request.GetEvents()); len(ids) > 0 {
		found.calls, err = tx.Calls(conversation.ID, ids)
	}

	return found, err
}

// turnBefore reads the turn that an append speaks about: the one it names, or else the active one.
func turnBefore(tx Tx, conversation Conversation, request *contextv1.AppendRequest) (*Turn, error) {
	turnID, err := turnOf(request)
	if err != nil {
		return nil, err
	}

	if accepts(request.GetEvents()) {
		return nil, unused(tx, turnID)
	}

	turnID = firstOf(turnID, conversation.ActiveTurnID)
	if turnID == "" {
		return nil, nil //nolint:nilnil // no turn is a proper answer here: see rows
	}

	turn, err := tx.Turn(turnID)
	if err == nil && turn.GetConversationId() != conversation.ID {
		err = NoTurn(turnID)
	}

	return &turn, err
}

// unused checks that a turn's id is new.
func unused(tx Tx, turnID string) error {
	_, err := tx.Turn(turnID)

	switch {
	case err == nil:
		return fault.New(codes.AlreadyExists, "TURN_ID_REUSED", "events.turn_id: there is a turn %q already", turnID)
	case fault.CodeOf(err) == codes.NotFound:
		return nil
	default:
		return err
	}
}

// write stores the rows that changed.
func (a appended) write(tx Tx) error {
	err := tx.InsertEvents(a.conversation.ID, a.events)

	if a.conversationRevised {
		err = errors.Join(err, tx.UpdateConversation(a.conversation))
	}

	if a.turnRevised {
		err = errors.Join(err, tx.PutTurn(*a.turn))
	}

	for _, id := range a.revised {
		err = errors.Join(err, tx.PutCall(a.calls[id]))
	}

	return err
}

// show writes into the turn, once it is stored, which revision its owner must have. That is as before the append, unless
// the owner is another.
func (a appended) show(tx Tx, before rows) error {
	if a.turn == nil {
		return nil
	}

	a.turn.PinnedRevision = before.pinned
	if before.turn != nil && before.turn.GetAgent() == a.turn.GetAgent() {
		return nil
	}

	stored, err := tx.Turn(a.turn.GetTurnId())
	if err != nil {
		return err
	}

	a.turn.PinnedRevision, err = newPinner(tx).revision(&stored)

	return err
}

func (a appended) response() *contextv1.AppendResponse {
	response := &contextv1.AppendResponse{FirstSequence: a.events[0].GetSequence(), Version: a.conversation.Version}
	if a.turn != nil {
		response.Turn = a.turn.Turn
	}

	return response
}

func (a appended) changes() changes {
	done := changes{events: a.events, outcomes: len(a.outcomes) > 0}
	if a.turnRevised {
		done.turns = []Turn{*a.turn}
	}

	return done
}

// requestDigest is what makes two appends the same: what the caller says, or else the events.
func requestDigest(request *contextv1.AppendRequest) (string, error) {
	if request.GetRequestDigest() != "" {
		return "caller:" + request.GetRequestDigest(), nil
	}

	hash := sha256.New()

	var buffer []byte
	for _, event := range request.GetEvents() {
		start := len(buffer)
		buffer = append(buffer, make([]byte, 8)...)

		var err error
		if buffer, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(buffer, event); err != nil {
			return "", fault.New(codes.InvalidArgument, "INVALID", "events: %w", err)
		}

		binary.BigEndian.PutUint64(buffer[start:], uint64(len(buffer)-start)) //nolint:gosec // a length is not negative
	}

	hash.Write(buffer)

	return "events:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// log appends events of the store's own to a conversation.
func (s *Service) log(tx Tx, conversation Conversation, events ...*eventv1.Event) (Conversation, error) {
	now := s.now(tx)

	for _, event := range events {
		conversation.Version++
		event.Sequence, event.ConversationId, event.Time = conversation.Version, conversation.ID, timestamp(now)
	}

	conversation.UpdatedAt = now

	return conversation, tx.InsertEvents(conversation.ID, events)
}
