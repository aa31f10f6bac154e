package install

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// Gateway speaks REST to Serin's gateway, as a user does.
type Gateway struct {
	// URL is where it is, such as http://10.50.0.7:8080.
	URL string
	// Token says who asks.
	Token string
}

// Call makes a request and reads the answer into out. Any answer but 200 is an error that holds it.
func (g Gateway) Call(ctx context.Context, method, path string, in any, out proto.Message) error {
	body, err := encode(in)
	if err != nil {
		return err
	}

	request, err := http.NewRequestWithContext(ctx, method, g.URL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}

	request.Header.Set("Authorization", "Bearer "+g.Token)
	request.Header.Set("Content-Type", "application/json")

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read

	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}

	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}

	if out == nil {
		return nil
	}

	if err := protojson.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}

	return nil
}

func encode(in any) (body []byte, err error) {
	switch message := in.(type) {
	case nil:
		return []byte("{}"), nil
	case proto.Message:
		body, err = protojson.Marshal(message)
	default:
		body, err = json.Marshal(message)
	}

	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}

	return body, nil
}

// Rollout returns an agent's rollout.
func (g Gateway) Rollout(ctx context.Context, agent string) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.GetRolloutResponse{}
	err := g.Call(ctx, http.MethodGet, "/v1/rollouts/"+agent, nil, answer)

	return answer.GetRollout(), err
}

// Steer gives a command about an agent's rollout, such as promote, and returns the rollout after it.
func (g Gateway) Steer(ctx context.Context, agent, verb string, in proto.Message) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.GetRolloutResponse{} // every answer has the rollout in the same place

	var body any
	if in != nil {
		body = in
	}

	err := g.Call(ctx, http.MethodPost, "/v1/rollouts/"+agent+":"+verb, body, answer)

	return answer.GetRollout(), err
}

// Await returns the agent's rollout once it is as wanted. The error tells what it was last.
func (g Gateway) Await(
	ctx context.Context, agent, what string, holds func(*rolloutv1.Rollout) bool,
) (*rolloutv1.Rollout, error) {
	for {
		found, err := g.Rollout(ctx, agent)
		if err == nil && holds(found) {
			return found, nil
		}

		select {
		case <-ctx.Done():
			return found, fmt.Errorf("waited in vain until %s is %s: %v, %w", agent, what, found, cmp.Or(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Begin opens a conversation.
func (g Gateway) Begin(ctx context.Context) (string, error) {
	answer := &conversationv1.CreateConversationResponse{}
	err := g.Call(ctx, http.MethodPost, "/v1/conversations", nil, answer)

	return answer.GetConversation().GetConversationId(), err
}

// Say posts a message and returns the turn, ended or waiting.
func (g Gateway) Say(ctx context.Context, conversation, text string) (*conversationv1.Turn, error) {
	answer := &conversationv1.SendMessageResponse{}
	err := g.Call(ctx, http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]string{"text": text}, answer)

	return answer.GetTurn(), err
}

// Events returns a conversation's log.
func (g Gateway) Events(ctx context.Context, conversation string) ([]*eventv1.Event, error) {
	answer := &conversationv1.ListEventsResponse{}
	err := g.Call(ctx, http.MethodGet, "/v1/conversations/"+conversation+"/events", nil, answer)

	return answer.GetEvents(), err
}
