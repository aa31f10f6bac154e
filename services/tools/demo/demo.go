// Package demo is an MCP server to try agents with: the invoices and the calendar of a made-up company. It speaks MCP on
// its standard input and output and keeps what it did in a directory, one line per effect.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The environment that the server reads where its configuration leaves a value out.
const (
	// DataVariable names the directory.
	DataVariable = "SERIN_DEMO_DATA"
	// DelayVariable is how long a refund or a booking takes, as Go writes durations.
	DelayVariable = "SERIN_DEMO_DELAY"
)

// CallIDKey is the _meta field in which Serin tells a call's id.
const CallIDKey = "serin.dev/call-id"

// The sets of tools.
const (
	Billing  = "billing"
	Calendar = "calendar"
	All      = "all"
)

// Config is what the server needs. The zero value serves all tools on standard input and output.
type Config struct {
	// Set is Billing, Calendar or All; default All.
	Set string
	// Data is the directory for refunds.jsonl and bookings.jsonl; default the variable SERIN_DEMO_DATA, or else
	// serin-demo in the directory for temporary files. It is made if it is missing.
	Data string
	// Delay is how long a refund or a booking takes, half of it before the effect and half after; default the variable
	// SERIN_DEMO_DELAY, or else none. Progress is told meanwhile.
	Delay time.Duration
	// In and Out default to standard input and output.
	In  io.ReadCloser
	Out io.WriteCloser
	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// Run serves until its input ends or the context does.
func Run(ctx context.Context, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}

	server, err := newServer(config)
	if err != nil {
		return err
	}

	err = server.Run(ctx, &mcp.IOTransport{Reader: config.In, Writer: config.Out})
	if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("serving MCP: %w", err)
	}

	return nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Set == "" {
		c.Set = All
	}

	if c.Data == "" {
		c.Data = os.Getenv(DataVariable)
	}

	if c.Data == "" {
		c.Data = os.TempDir() + "/serin-demo"
	}

	if text := os.Getenv(DelayVariable); text != "" && c.Delay == 0 {
		delay, err := time.ParseDuration(text)
		if err != nil || delay < 0 {
			return c, fmt.Errorf("%s=%q: want a duration such as 500ms", DelayVariable, text)
		}

		c.Delay = delay
	}

	if c.In == nil {
		c.In = os.Stdin
	}

	if c.Out == nil {
		c.Out = os.Stdout
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	return c, nil
}

func newServer(config Config) (*mcp.Server, error) {
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}

	server := mcp.NewServer(&mcp.Implementation{Name: "serin-demo-" + config.Set, Title: "Serin's demo company"}, nil)

	switch config.Set {
	case Billing:
		return server, addBilling(server, config)
	case Calendar:
		return server, addCalendar(server, config)
	case All:
		return server, errors.Join(addBilling(server, config), addCalendar(server, config))
	default:
		return nil, fmt.Errorf("--set %q: want %s, %s or %s", config.Set, Billing, Calendar, All)
	}
}
