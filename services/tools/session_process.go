package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/serinhq/serin/services/tools/outbound"
)

// processPeer is a server that is a process, and ends with its session.
type processPeer struct {
	process *process
	grace   time.Duration
}

// connectProcess starts a process and greets it.
func connectProcess(
	ctx context.Context, command, environment []string, protocol string, grace time.Duration, logger *slog.Logger,
) (*session, error) {
	process, err := startProcess(command, environment, &diagnostics{logger: logger})
	if err != nil {
		return nil, err
	}

	return newSession(ctx, processPeer{process, grace}, &mcp.IOTransport{Reader: process.stdout, Writer: process}, protocol, logger)
}

func (p processPeer) gone() <-chan struct{} { return p.process.exited }

func (p processPeer) hangUp() { closeAll(p.process.stdout) }

func (p processPeer) stop() { p.process.stop(p.grace) }

func (p processPeer) looks() time.Duration { return 0 }

func (p processPeer) place() string { return fmt.Sprintf("pid %d", p.process.command.Process.Pid) }

// story waits a little for a process whose pipe is closed already.
func (p processPeer) story() string {
	if !p.process.waitFor(lastOutput) {
		return "it still runs"
	}

	if p.process.err != nil {
		return p.process.err.Error()
	}

	return "it ended by itself"
}

// answer: a JSON-RPC error is the server's answer; a broken connection is none, and is waited for to be known as such, so
// that a second try goes to the next session.
func (p processPeer) answer(s *session, _ *outbound.Trace, err error) (reply, error) {
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
