package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The test binary is a tool server too, when it finds itself in this variable.
const puppetVariable = "SERIN_TEST_PUPPET"

// effectsVariable names the file in which the puppet's tools leave a line per effect: tool, call id and text.
const effectsVariable = "SERIN_TEST_EFFECTS"

type puppetInput struct {
	Text string `json:"text,omitempty"`
	// Wait is how long the tool takes before its effect, and After after it, both in milliseconds.
	Wait  int `json:"wait,omitempty"`
	After int `json:"after,omitempty"`
	// Crashes is how many effects there must be for the tool not to crash after its own.
	Crashes int `json:"crashes,omitempty"`
	Size    int `json:"size,omitempty"`
}

// runPuppet serves until its input ends; stubborn ones ignore everything but SIGKILL.
func runPuppet(mode string) error {
	switch mode {
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "sessions", "stateless":
		return servePuppet(mode)
	}

	server := mcp.NewServer(&mcp.Implementation{Name: "puppet"}, nil)
	addPuppetTools(server)

	err := server.Run(context.Background(), &mcp.StdioTransport{})

	if mode == "stubborn" {
		select {}
	}

	return err
}

func addPuppetTools(server *mcp.Server) {
	readOnly, idempotent := &mcp.ToolAnnotations{ReadOnlyHint: true}, &mcp.ToolAnnotations{IdempotentHint: true}

	add := func(name string, annotations *mcp.ToolAnnotations, run func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error)) {
		mcp.AddTool(server, &mcp.Tool{Name: name, Description: "The tool " + name + ".", Annotations: annotations},
			func(ctx context.Context, request *mcp.CallToolRequest, input puppetInput) (*mcp.CallToolResult, any, error) {
				text, err := run(ctx, request, input)

				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, err
			})
	}

	add("echo", readOnly, func(_ context.Context, _ *mcp.CallToolRequest, input puppetInput) (string, error) {
		return input.Text, nil
	})
	add("effect", nil, effect)
	add("effect_again", idempotent, effect)
	add("big", readOnly, func(_ context.Context, _ *mcp.CallToolRequest, input puppetInput) (string, error) {
		return strings.Repeat("ä", input.Size), nil
	})
	add("fail", nil, func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error) {
		return "", errors.New("the card was declined")
	})
	add("environment", readOnly, func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error) {
		return strings.Join(os.Environ(), "\n"), nil
	})
	add("pid", readOnly, func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error) {
		return strconv.Itoa(os.Getpid()), nil
	})
	add("grow", nil, func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error) {
		add("grown", readOnly, func(context.Context, *mcp.CallToolRequest, puppetInput) (string, error) { return "new", nil })

		return "grew", nil
	})
	addLiar(server)
	// Two tools that would have one name.
	add("twin.a", readOnly, effect)
	add("twin_a", readOnly, effect)
}

// addLiar adds a tool whose results break its own promise, unless it is told the truth.
func addLiar(server *mcp.Server) {
	server.AddTool(&mcp.Tool{
		Name: "liar", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
		InputSchema:  json.RawMessage(`{"type":"object","properties":{"count":{"type":["integer","string"]}}}`),
		OutputSchema: json.RawMessage(`{"type":"object","properties":{"count":{"type":"integer"}},"required":["count"]}`),
	}, func(_ context.Context, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{
			Content: []mcp.Content{&mcp.TextContent{Text: "some text"}}, StructuredContent: request.Params.Arguments,
		}, nil
	})
}

// effect leaves its line, with pauses and crashes as it is told.
func effect(ctx context.Context, request *mcp.CallToolRequest, input puppetInput) (string, error) {
	if err := pausePuppet(ctx, request, input.Wait); err != nil {
		return "", err
	}

	id, _ := request.Params.Meta[callIDKey].(string)
	if err := leaveLine(fmt.Sprintf("%s %s %s\n", request.Params.Name, id, input.Text)); err != nil {
		return "", err
	}

	if input.Crashes > countLines(os.Getenv(effectsVariable)) {
		os.Exit(3)
	}

	if err := pausePuppet(ctx, request, input.After); err != nil {
		return "", err
	}

	return "done: " + input.Text, nil
}

func pausePuppet(ctx context.Context, request *mcp.CallToolRequest, milliseconds int) error {
	if milliseconds == 0 {
		return nil
	}

	_ = request.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: request.Params.GetProgressToken(), Message: "pausing", Progress: 1, Total: 2,
	})

	select {
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func leaveLine(line string) error {
	file, err := os.OpenFile(os.Getenv(effectsVariable), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()

	_, err = file.WriteString(line)

	return err
}

func countLines(path string) int {
	data, _ := os.ReadFile(path)

	return strings.Count(string(data), "\n")
}
