package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/internal/fault"
)

// attempt is what is noted of a command with an idempotency key.
type attempt struct {
	// ID tells attempts apart, Digest is of what was asked.
	ID     string `json:"id"`
	Digest string `json:"digest"`
	// Answer is the response, once there is one.
	Answer   []byte `json:"answer,omitempty"`
	Answered bool   `json:"answered,omitempty"`
}

// once runs a command, unless the principal's idempotency key says that it was run: then its answer is that of the first
// time. Without a key it is run. A command that was refused may be tried again with its key; one whose outcome got lost may
// not, because it could be done twice.
func once[Resp proto.Message](
	ctx context.Context, s *Service, principal Principal, req proto.Message, run func(context.Context) (Resp, error),
) (none Resp, _ error) {
	key, err := idempotencyKey(ctx, "")
	if err != nil {
		return none, err
	}

	if key == "" {
		return run(ctx)
	}

	// Whoever hangs up and asks again shall find an answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.RequestTimeout)
	defer cancel()

	key = digest(principal.Tenant, principal.User, key)

	asked, err := digestOf(req)
	if err != nil {
		return none, err
	}

	began := attempt{ID: newID("k"), Digest: asked}

	found, err := s.records.claim(ctx, key, began.encode())
	if err != nil {
		return none, err
	}

	if found != nil {
		return answered[Resp](found, asked)
	}

	resp, err := run(ctx)
	s.settle(ctx, key, began, resp, err)

	return resp, err
}

// settle notes what a command came to. If that fails, the key stays as good as used: better than a second time.
func (s *Service) settle(ctx context.Context, key string, began attempt, resp proto.Message, outcome error) {
	if outcome != nil && !isRefusal(outcome) {
		return
	}

	var ended []byte

	if outcome == nil {
		done := began
		done.Answered = true

		var err error
		if done.Answer, err = proto.Marshal(resp); err != nil {
			s.log.ErrorContext(ctx, "answer not noted", "error", err.Error())

			return
		}

		ended = done.encode()
	}

	if _, err := s.records.settle(ctx, key, began.encode(), ended); err != nil {
		s.log.WarnContext(ctx, "answer not noted: its key stays unsettled", "error", err.Error())
	}
}

// answered is the answer that is noted, if it is that of the same request.
func answered[Resp proto.Message](noted []byte, asked string) (none Resp, _ error) {
	var before attempt
	if err := json.Unmarshal(noted, &before); err != nil {
		return none, fmt.Errorf("read what is noted of a key: %w", err)
	}

	switch {
	case before.Digest != asked:
		return none, fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED", "Idempotency-Key: was used for another request; choose a new one")
	case !before.Answered:
		return none, fault.New(codes.FailedPrecondition, "REQUEST_UNSETTLED",
			"a request with this Idempotency-Key has begun: it runs still, or its outcome got lost; "+
				"look what came of it, and take another key if it is still to be done").After(time.Second)
	}

	resp, _ := none.ProtoReflect().Type().New().Interface().(Resp) // of its own type

	if err := proto.Unmarshal(before.Answer, resp); err != nil {
		return none, fmt.Errorf("read what is noted of a key: %w", err)
	}

	return resp, nil
}

func (a attempt) encode() []byte {
	encoded, _ := json.Marshal(a) // strings and bytes always marshal

	return encoded
}

// digestOf is a digest of a request with its type.
func digestOf(req proto.Message) (string, error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encode the request: %w", err)
	}

	return digest(string(req.ProtoReflect().Descriptor().FullName()), string(encoded)), nil
}

// isRefusal reports whether an error says that nothing was done.
func isRefusal(err error) bool {
	switch fault.CodeOf(err) { //nolint:exhaustive // after the others it may have been done
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unimplemented, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}
