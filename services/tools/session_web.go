package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/serinhq/serin/services/tools/outbound"
)

// maxWebAnswer is the most bytes of one answer of a server over HTTP that is not a stream of events.
const maxWebAnswer = 32 << 20

// maxWebProblem is how much of the page is read that comes with an error.
const maxWebProblem = 4 << 10

// webPeer is a server at a URL, which lives without us. That it is gone is seen when a request fails, so it is looked for
// from time to time.
type webPeer struct {
	url    string
	client *http.Client
	every  time.Duration

	mu   sync.Mutex
	last error // what was wrong with it last
}

// connectWeb greets a server over HTTP.
func connectWeb(
	ctx context.Context, url string, client *http.Client, protocol string, every time.Duration, logger *slog.Logger,
) (*session, error) {
	peer := &webPeer{url: url, client: client, every: every}
	speaking := *client
	speaking.Transport = webErrors{client.Transport}

	return newSession(ctx, peer, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &speaking}, protocol, logger)
}

func (p *webPeer) gone() <-chan struct{} { return nil }

func (p *webPeer) hangUp() { p.client.CloseIdleConnections() }

func (p *webPeer) stop() { p.client.CloseIdleConnections() }

func (p *webPeer) looks() time.Duration { return p.every }

func (p *webPeer) place() string { return p.url }

func (p *webPeer) story() string {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.last != nil {
		return clip(p.last.Error(), maxProblem)
	}

	return p.url
}

// lost ends the session: the next one begins with finding out whether the server is there.
func (p *webPeer) lost(s *session, why error) {
	p.mu.Lock()
	p.last = why
	p.mu.Unlock()
	s.end()
}

// answer goes by how far the request came. What the server may have seen, and has not answered, may have taken effect.
func (p *webPeer) answer(s *session, trace *outbound.Trace, err error) (reply, error) {
	var refusal *jsonrpc.Error

	status := trace.Status()

	switch {
	case !trace.Sent():
		p.lost(s, err)

		return reply{}, fmt.Errorf("%w: %w", errNotSent, err)
	case status == http.StatusNotFound && s.client.ID() != "":
		p.lost(s, errors.New("it has forgotten the session"))

		return reply{}, fmt.Errorf("%w: %w", errNotSent, err)
	case status >= 300 && status < 500: //nolint:mnd // it was refused before it was run
		return refuse(webText(err, status)), nil
	case status == http.StatusOK && errors.As(err, &refusal) && !errors.Is(err, mcp.ErrConnectionClosed):
		return refuse(refusal.Message), nil
	case status == 0: // the connection broke
		p.lost(s, err)
	}

	return reply{}, errors.New(webText(err, status))
}

// webText is the inner text of an error of a call with an answer: the SDK says around it what people know already.
func webText(err error, status int) string {
	var refusal *jsonrpc.Error
	if errors.As(err, &refusal) && status != 0 {
		return refusal.Message
	}

	return err.Error()
}

// webErrors brings what servers, and what is in front of them, answer instead of MCP into its form: to the SDK any other
// answer than that would end the session, and with it the calls that run well. Only answers to calls are changed.
type webErrors struct{ next http.RoundTripper }

// RoundTrip sends a request.
func (w webErrors) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is a round tripper like the one below it
	}

	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		response.Body = http.MaxBytesReader(nil, response.Body, maxWebAnswer)
	}

	if response.StatusCode >= http.StatusBadRequest && outbound.Traced(request.Context()) {
		return asMCP(response)
	}

	return response, nil
}

func isRefusal(page []byte) bool {
	message, err := jsonrpc.DecodeMessage(page)
	if err != nil {
		return false
	}

	answer, ok := message.(*jsonrpc.Response)

	return ok && answer.Error != nil
}

// asMCP makes a JSON-RPC error of an answer, unless it is one.
func asMCP(response *http.Response) (*http.Response, error) {
	page, err := io.ReadAll(io.LimitReader(response.Body, maxWebProblem))
	_ = response.Body.Close() // it was read as far as it is wanted

	if !isRefusal(page) {
		text := fmt.Sprintf("HTTP %d %s", response.StatusCode, http.StatusText(response.StatusCode))
		if words := strings.TrimSpace(clip(string(page), maxProblem)); words != "" && err == nil {
			text += ": " + words
		}

		page, err = json.Marshal(map[string]any{
			"jsonrpc": "2.0", "id": 0, "error": map[string]any{"code": jsonrpc.CodeInternalError, "message": text},
		})
	}

	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}

	response.StatusCode = http.StatusBadRequest // its own is in the trace; of some the SDK would not read the page
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(page)), int64(len(page))

	return response, nil
}
