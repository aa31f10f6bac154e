package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/agentspec/schema"
)

// builtinServer is the server's name of the platform's own tools.
const builtinServer = "builtin"

// builtin is a tool that runs in this process. It has no effects: all are idempotent.
type builtin struct {
	name, description, input string
	run                      func(arguments json.RawMessage) (string, error)
}

func newBuiltins(now func() time.Time) (map[string]*tool, error) {
	made := map[string]*tool{}

	for _, each := range []builtin{newClock(now), newCalculator()} {
		input, err := schema.Compile([]byte(each.input))
		if err != nil {
			return nil, fmt.Errorf("built-in tool %s: %w", each.name, err)
		}

		tool := &tool{
			about: &toolsv1.Tool{
				Name: each.name, Description: each.description, InputSchema: each.input, Idempotent: true, Server: builtinServer,
			},
			remote: each.name, input: input, slots: make(slots, defaultMaxConcurrent), backend: each,
		}
		tool.limit(agentspec.ToolSettings{})

		made[each.name] = tool
	}

	return made, nil
}

func (b builtin) ready(context.Context) error { return nil }

func (b builtin) call(_ context.Context, call invocation) (reply, error) {
	text, err := b.run(call.arguments)
	if err != nil {
		return reply{text: err.Error(), failed: true}, nil //nolint:nilerr // it is the tool's answer
	}

	return reply{text: text}, nil
}
