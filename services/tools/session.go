package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// callIDKey is the _meta field that tells a server a call's id, so that it can recognise one that it has seen.
const callIDKey = "serin.dev/call-id"

// maxPages bounds a listing by a server that never stops.
const maxPages = 100

// session is one life of a server: a process and the MCP session with it.
type session struct {
	process *process
	client  *mcp.ClientSession
	grace   time.Duration
	// ended is closed when no further call can succeed.
	ended chan struct{}
	// changed is told when the server's list of tools is another.
	changed chan struct{}

	mu        sync.Mutex
	listeners map[string]func(*eventv1.ToolProgress) // by call id, which is the progress token
}

// connect starts the process and greets it; protocol "" is the newest protocol, with older ones to fall back to.
func connect(
	ctx context.Context, command, environment []string, protocol string, grace time.Duration, logger *slog.Logger,
) (*session, error) {
	process, err := startProcess(command, environment, &diagnostics{logger: logger})
	if err != nil {
		return nil, err
	}

	made := &session{
		process: process, grace: grace,
		ended: make(chan struct{}), changed: make(chan struct{}, 1),
		listeners: map[string]func(*eventv1.ToolProgress){},
	}

	made.client, err = made.newClient(logger).Connect(ctx,
		&mcp.IOTransport{Reader: process.stdout, Writer: process}, &mcp.ClientSessionOptions{ProtocolVersion: protocol})
	if err != nil {
		process.stop(grace)

		return nil, fmt.Errorf("greeting the server (%s): %w", exitText(process), err)
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

// watch closes ended when the connection is over, and ends the connection when the process is.
func (s *session) watch() {
	go func() {
		<-s.process.exited

		select {
		case <-s.ended:
		case <-time.After(lastOutput):
			closeAll(s.process.stdout)
		}
	}()

	_ = s.client.Wait() // why it ended is told by the process's exit

	close(s.ended)
}

// close ends the session and the process, and returns when both have ended.
func (s *session) close() {
	closed := make(chan struct{})

	go func() {
		defer close(closed)

		_ = s.client.Close() // the process is about to end; how the connection ends does not matter
	}()

	s.process.stop(s.grace)
	<-closed
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
	if !s.alive() {
		return reply{}, errNotSent
	}

	stopListening := s.listen(call.callID, call.progress)
	defer stopListening()

	type answer struct {
		result *mcp.CallToolResult
		err    error
	}

	answers := make(chan answer, 1)

	go func() { // a server that does not read its input would block the write beyond the context's end
		result, err := s.client.CallTool(ctx, callParams(call))
		answers <- answer{result, err}
	}()

	select {
	case answer := <-answers:
		if answer.err != nil && ctx.Err() != nil {
			return reply{}, answer.err
		}

		return s.read(answer.result, answer.err)
	case <-ctx.Done():
		return reply{}, fmt.Errorf("giving up: %w", context.Cause(ctx))
	}
}

// read tells an answer from none. A JSON-RPC error is the server's answer; a broken connection is none, and is waited
// for to be known as such, so that a second try goes to the next session.
func (s *session) read(result *mcp.CallToolResult, err error) (reply, error) {
	if err == nil {
		return newReply(result), nil
	}

	// The SDK uses error codes for broken connections that a server may use for reasons of its own.
	var refusal *jsonrpc.Error

	if errors.As(err, &refusal) && !errors.Is(err, mcp.ErrConnectionClosed) {
		return refuse(refusal.Message), nil
	}

	select {
	case <-s.ended:
		return reply{}, fmt.Errorf("the server ended: %w", err)
	case <-time.After(lastOutput):
	}

	if errors.Is(err, mcp.ErrConnectionClosed) {
		return refuse(err.Error()), nil
	}

	return reply{}, err
}

func refuse(message string) reply {
	return reply{text: "the tool server refused the call: " + message, failed: true}
}

func callParams(call invocation) *mcp.CallToolParams {
	params := &mcp.CallToolParams{
		Name: call.tool, Arguments: call.arguments, Meta: mcp.Meta{callIDKey: call.callID},
	}
	params.SetProgressToken(call.callID)

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

// exitText says how a process ended, for people.
func exitText(process *process) string {
	select {
	case <-process.exited:
		if process.err != nil {
			return process.err.Error()
		}

		return "it ended by itself"
	default:
		return "it still runs"
	}
}
