package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

const (
	// unaryTimeout bounds calls that do not wait for a turn.
	unaryTimeout = 30 * time.Second
	// maxAnswer is the most bytes that a unary answer may have; a page of events is the longest.
	maxAnswer = 64 << 20
	// collection is what everything is below.
	collection = "conversations"
)

// client speaks REST to a gateway. Errors are faults, as the gateway made them.
type client struct {
	endpoint

	http *http.Client
}

func newClient(at endpoint) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.ResponseHeaderTimeout = unaryTimeout

	return &client{endpoint: at, http: &http.Client{Transport: transport}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

func (c *client) create(ctx context.Context, agent string) (*conversationv1.Conversation, error) {
	answer := &conversationv1.CreateConversationResponse{}
	err := c.call(ctx, http.MethodPost, []string{collection}, nil,
		&conversationv1.CreateConversationRequest{Agent: agent}, answer)

	return answer.GetConversation(), err
}

func (c *client) get(ctx context.Context, id string) (*conversationv1.Conversation, error) {
	answer := &conversationv1.GetConversationResponse{}
	err := c.call(ctx, http.MethodGet, []string{collection, id}, nil, nil, answer)

	return answer.GetConversation(), err
}

func (c *client) list(ctx context.Context, size int, page string) (*conversationv1.ListConversationsResponse, error) {
	answer := &conversationv1.ListConversationsResponse{}
	query := url.Values{"pageSize": {strconv.Itoa(size)}}

	if page != "" {
		query.Set("pageToken", page)
	}

	return answer, c.call(ctx, http.MethodGet, []string{collection}, query, nil, answer)
}

func (c *client) events(ctx context.Context, id string, from int64) (*conversationv1.ListEventsResponse, error) {
	answer := &conversationv1.ListEventsResponse{}
	query := url.Values{"from": {strconv.FormatInt(from, 10)}}

	return answer, c.call(ctx, http.MethodGet, []string{collection, id, "events"}, query, nil, answer)
}

func (c *client) cancel(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, []string{collection, id + ":cancel"}, nil,
		&conversationv1.CancelTurnRequest{Reason: reason}, &conversationv1.CancelTurnResponse{})
}

func (c *client) resolve(ctx context.Context, id, call string, decision eventv1.Decision, comment string) (string, error) {
	answer := &conversationv1.ResolveInputResponse{}
	err := c.call(ctx, http.MethodPost, []string{collection, id, "approvals", call}, nil,
		&conversationv1.ResolveInputRequest{Decision: decision, Comment: comment}, answer)

	return answer.GetTurnId(), err
}

// call makes one unary call. The request may be nil.
func (c *client) call(ctx context.Context, method string, path []string, query url.Values, in, out proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, unaryTimeout)
	defer cancel()

	request, err := c.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}

	response, err := c.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written

	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return unreachable(c.endpoint, err)
	}

	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, out); err != nil {
		return fault.New(codes.Internal, "BAD_ANSWER", "%s does not answer as a Serin gateway: %w", c.endpoint, err)
	}

	return nil
}

func (c *client) request(ctx context.Context, method string, path []string, query url.Values, in proto.Message) (*http.Request, error) {
	var body io.Reader = http.NoBody

	if in != nil {
		data, err := protojson.Marshal(in)
		if err != nil {
			return nil, usageErrorf("the message can't be sent: %w", err)
		}

		body = bytes.NewReader(data)
	}

	escaped := make([]string, 0, len(path)+1)
	for _, part := range append([]string{"v1"}, path...) {
		if part == "" || part == "." || part == ".." { // it would lead to something else, such as all there is
			return nil, usageErrorf("%q: not an id", part)
		}

		escaped = append(escaped, url.PathEscape(part))
	}

	target := c.url.JoinPath(escaped...)
	target.RawQuery = query.Encode()

	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, usageErrorf("--url: %w", err)
	}

	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "serin/"+version())

	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}

	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}

	return request, nil
}

// do sends a request and turns every answer but a good one into a fault.
func (c *client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(c.endpoint, err)
	}

	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written

	data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what there is of it will do

	return nil, fault.FromHTTP(response.StatusCode, data)
}

// unreachable says in a user's words why a gateway can't be talked to.
func unreachable(at endpoint, err error) error {
	var failed *url.Error

	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(codes.Unavailable, "UNREACHABLE", "nothing listens at %s; is serin up running?", at)
	case errors.As(err, &failed):
		err = failed.Err
	}

	return fault.New(codes.Unavailable, "UNREACHABLE", "%s can't be reached: %w", at, err)
}
