package tools

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/tools/outbound"
)

// callIDKey is the _meta field that tells a server a call's id, so that it can recognise one that it has seen.
const callIDKey = "serin.dev/call-id"

// maxPages bounds a listing by a server that never stops.
const maxPages = 100

// peer is what a session speaks with: a process, or a server at a URL.
type peer interface {
	// gone is closed when the peer has ended by itself; nil if it can't be seen to.
	gone() <-chan struct{}
	// hangUp ends what is left of connections, once the peer is gone or the client has ended.
	hangUp()
	// stop ends the peer and returns when it has ended.
	stop()
	// story says how it ended, for people.
	story() string
	// place says where it is, for logs.
	place() string
	// answer tells an answer from none, where the client has an error for a call.
	answer(s *session, trace *outbound.Trace, err error) (reply, error)
	// looks is how often to see whether it is still there; 0 if it is seen to end.
	looks() time.Duration
}

// session is one life of a server: its peer and the MCP session with it.
type session struct {
	peer   peer
	client *mcp.ClientSession
	// ended is closed when no further call can succeed.
	ended chan struct{}
	// calls are under way.
	calls sync.WaitGroup
	// changed is told when the server's list of tools is another.
	changed chan struct{}

	mu        sync.Mutex                             // for calls and ended too
	listeners map[string]func(*eventv1.ToolProgress) // by call id, which is the progress token
}

// newSession greets a peer; protocol "" is the newest protocol, with older ones to fall back to. Where that fails the peer
// is stopped.
func newSession(ctx context.Context, peer peer, transport mcp.Transport, protocol string, logger *slog.Logger) (*session, error) {
	made := &session{
		peer: peer, ended: make(chan struct{}), changed: make(chan struct{}, 1),
		listeners: map[string]func(*eventv1.ToolProgress){},
	}

	var err error

	made.client, err = made.newClient(logger).Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocol})
	if err != nil {
		peer.stop()

		return nil, fmt.Errorf("greeting the server (%s): %w", peer.story(), err)
	}

	go made.watch()

	return made, nil
}

func (s *session) newClient(logger *slog.Logger) *mcp.Client {
	return mcp.NewClient(&mcp.Implementation{Name: "serin", Title: "Serin", Version: version()}, &mcp.ClientOptions{
		Logger:                      logger,
		Capabilities:                &mcp.ClientCapabilities{}, // no roots, no sampling, no elicitation
		MultiRoundTrip:              &mcp.MultiRoundTripOptions{Disabled: true},
		ToolListChangedHandler:      func(context.Context, *mcp.ToolListChangedRequest) { s.noteChange() },
		ProgressNotificationHandler: s.noteProgress,
	})
}

// watch ends the session when the connection is over, and ends the connection when the peer is.
func (s *session) watch() {
	go func() {
		select {
		case <-s.ended:
			return
		case <-s.peer.gone():
		}

		select {
		case <-s.ended:
		case <-time.After(lastOutput):
			s.peer.hangUp()
		}
	}()

	_ = s.client.Wait() // why it ended is told by the peer

	s.end()
}

// end has no further call be sent.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.alive() {
		close(s.ended)
	}
}

// enter takes a call in, which leaves with calls.Done; it returns false once the session has ended.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.alive() {
		return false
	}

	s.calls.Add(1)

	return true
}

// close ends the session and its peer, and returns when both have ended.
func (s *session) close() {
	closed := make(chan struct{})

	go func() {
		defer close(closed)

		_ = s.client.Close() // the peer is about to end; how the connection ends does not matter
	}()

	s.peer.stop()
	<-closed
	s.peer.hangUp()
}

// alive reports whether a call can still be sent.
func (s *session) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// list returns all pages of the server's tools.
func (s *session) list(ctx context.Context) ([]*mcp.Tool, error) {
	var tools []*mcp.Tool

	params := &mcp.ListToolsParams{}

	for range maxPages {
		page, err := s.client.ListTools(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("listing tools: %w", err)
		}

		tools = append(tools, page.Tools...)

		if page.NextCursor == "" {
			return tools, nil
		}

		params = &mcp.ListToolsParams{Cursor: page.NextCursor}
	}

	return nil, fmt.Errorf("listing tools: more than %d pages", maxPages)
}

// call runs a tool. It returns when the context ends, whatever the server does; the server is told then.
func (s *session) call(ctx context.Context, call invocation) (reply, error) {
	if !s.enter() {
		return reply{}, errNotSent
	}
	defer s.calls.Done()

	stopListening := s.listen(call.callID, call.progress)
	defer stopListening()

	sending, trace := outbound.WithTrace(ctx)

	type answer struct {
		result *mcp.CallToolResult
		err    error
	}

	answers := make(chan answer, 1)

	go func() { // a server that does not read its input would block the write beyond the context's end
		result, err := s.client.CallTool(sending, callParams(call))
		answers <- answer{result, err}
	}()

	select {
	case answer := <-answers:
		if answer.err != nil && ctx.Err() != nil {
			return reply{}, answer.err
		}

		if answer.err != nil {
			return s.peer.answer(s, trace, answer.err)
		}

		return newReply(answer.result), nil
	case <-ctx.Done():
		return reply{}, fmt.Errorf("giving up: %w", context.Cause(ctx))
	}
}

func refuse(message string) reply {
	return reply{text: "the tool server refused the call: " + message, failed: true}
}

func callParams(call invocation) *mcp.CallToolParams {
	params := &mcp.CallToolParams{
		Name: call.tool, Arguments: call.arguments, Meta: mcp.Meta{callIDKey: call.callID},
	}
	params.SetProgressToken(call.callID)

	if call.trace != "" {
		params.Meta["traceparent"] = call.trace
	}

	return params
}

func (s *session) listen(token string, progress func(*eventv1.ToolProgress)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.listeners[token] = progress

	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()

		delete(s.listeners, token)
	}
}

func (s *session) noteProgress(_ context.Context, note *mcp.ProgressNotificationClientRequest) {
	token, _ := note.Params.ProgressToken.(string) // ours are strings; "" is nobody's

	s.mu.Lock()
	progress := s.listeners[token]
	s.mu.Unlock()

	if progress != nil {
		progress(&eventv1.ToolProgress{
			CallId: token, Message: clip(note.Params.Message, maxProblem),
			Progress: note.Params.Progress, Total: note.Params.Total,
		})
	}
}

func (s *session) noteChange() {
	select {
	case s.changed <- struct{}{}:
	default: // it is known already
	}
}

// version is this build's, as servers ask for one.
func version() string {
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}

	return "(devel)"
}
