package loadtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// maxAnswer is the most bytes that an answer may have.
const maxAnswer = 64 << 20

// Client speaks to a gateway over REST. Errors are [fault.Error], as the gateway made them; UNAVAILABLE if it can not be
// reached.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	owned *http.Transport
}

// NewClient makes a client. A nil transport makes one of its own, with enough idle connections for load.
func NewClient(address, token string, transport http.RoundTripper) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, fault.Invalid(fault.Violation{Field: "url", Message: err.Error()})
	}

	made := &Client{base: base, token: token}

	if transport == nil {
		made.owned = &http.Transport{MaxIdleConnsPerHost: 4096, IdleConnTimeout: time.Minute, DisableCompression: true}
		transport = made.owned
	}

	made.http = &http.Client{Transport: transport}

	return made, nil
}

// Close closes the idle connections of the client's own transport.
func (c *Client) Close() {
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
}

// create opens a conversation; the same key again is the same one.
func (c *Client) create(ctx context.Context, agent, key string) (*conversationv1.Conversation, error) {
	request, err := c.request(ctx, http.MethodPost, "conversations", &conversationv1.CreateConversationRequest{Agent: agent})
	if err != nil {
		return nil, err
	}

	request.Header.Set("Idempotency-Key", key)

	answer := &conversationv1.CreateConversationResponse{}
	err = c.read(request, answer)

	return answer.GetConversation(), err
}

// events returns the log from a sequence on, up to its end.
func (c *Client) events(ctx context.Context, conversation string, from int64) ([]*eventv1.Event, error) {
	events := []*eventv1.Event{}

	for {
		page := &conversationv1.ListEventsResponse{}

		path := "conversations/" + conversation + "/events?limit=1000&from=" + strconv.FormatInt(from, 10)
		if err := c.call(ctx, http.MethodGet, path, nil, page); err != nil {
			return nil, err
		}

		events = append(events, page.GetEvents()...)

		if len(page.GetEvents()) == 0 || events[len(events)-1].GetSequence() >= page.GetVersion() {
			return events, nil
		}

		from = events[len(events)-1].GetSequence() + 1
	}
}

func (c *Client) approve(ctx context.Context, conversation, call string, decision eventv1.Decision) error {
	return c.call(ctx, http.MethodPost, "conversations/"+conversation+"/approvals/"+call,
		&conversationv1.ResolveInputRequest{Decision: decision}, &conversationv1.ResolveInputResponse{})
}

// say sends a message and returns the stream of its turn's events after a sequence. The same key again is the same turn.
func (c *Client) say(ctx context.Context, conversation, text, key string, after int64) (io.ReadCloser, error) {
	request, err := c.request(ctx, http.MethodPost, "conversations/"+conversation+"/messages",
		&conversationv1.SendMessageRequest{Text: text})
	if err != nil {
		return nil, err
	}

	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("Last-Event-ID", strconv.FormatInt(after, 10))

	response, err := c.do(request)
	if err != nil {
		return nil, err
	}

	return response.Body, nil
}

// call makes one call; the path is escaped already, and the request may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out proto.Message) error {
	request, err := c.request(ctx, method, path, in)
	if err != nil {
		return err
	}

	return c.read(request, out)
}

// read sends a request and reads the answer.
func (c *Client) read(request *http.Request, out proto.Message) error {
	response, err := c.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written

	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return unreachable(request.Context(), err)
	}

	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, out); err != nil {
		return fault.New(codes.Internal, "BAD_ANSWER", "%s does not answer as a Serin gateway: %w", c.base, err)
	}

	return nil
}

func (c *Client) request(ctx context.Context, method, path string, in proto.Message) (*http.Request, error) {
	body := []byte{}

	if in != nil {
		var err error
		if body, err = protojson.Marshal(in); err != nil {
			return nil, fault.Invalid(fault.Violation{Field: "message", Message: err.Error()})
		}
	}

	target, err := c.base.Parse("/v1/" + path)
	if err != nil {
		return nil, fault.Invalid(fault.Violation{Field: "url", Message: err.Error()})
	}

	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fault.Invalid(fault.Violation{Field: "url", Message: err.Error()})
	}

	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "serin-loadtest")

	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}

	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}

	return request, nil
}

// do sends a request and turns every answer but a good one into a fault.
func (c *Client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(request.Context(), err)
	}

	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written

	data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what there is of it will do

	return nil, fault.FromHTTP(response.StatusCode, data)
}

// unreachable says that the gateway did not answer, unless that was the caller's own will.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // it is why the caller gave up
	}

	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}

	return fault.New(codes.Unavailable, "UNREACHABLE", "the gateway can't be reached: %w", err)
}
