package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// fakeModel answers chat completions as a script says, in OpenAI's format, and refuses prompts in which a tool call has
// no result.
type fakeModel struct {
	*httptest.Server

	t      testing.TB
	script func(modelAsked) modelReply
	// prices is what GET /v1/prices answers; nothing is there if it is empty.
	prices string

	mu       sync.Mutex
	requests []modelAsked
	// embedded are the texts that vectors were asked of.
	embedded []string
}

// modelAsked is a request as the model sees it.
type modelAsked struct {
	Agent    string   `json:"-"`
	Model    string   `json:"model"`
	Models   []string `json:"models"`
	Messages []struct {
		Role      string `json:"role"`
		Content   string `json:"content"`
		ToolCalls []struct {
			ID       string `json:"id"`
			Function struct {
				Name      string `json:"name"`
				Arguments string `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
		ToolCallID string `json:"tool_call_id"`
	} `json:"messages"`
	Tools []struct {
		Function struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"function"`
	} `json:"tools"`
	MaxTokens int64 `json:"max_completion_tokens"`
	Format    struct {
		Schema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`

	// body is the whole request.
	body string
}

// classifies reports whether a guardrail asks for a decision.
func (a modelAsked) classifies() bool { return a.Format.Schema.Name == "topics" }

// last is the text of the last message.
func (a modelAsked) last() string { return a.Messages[len(a.Messages)-1].Content }

// answered reports whether the prompt's last message is a tool's result.
func (a modelAsked) answered() bool { return a.Messages[len(a.Messages)-1].Role == "tool" }

// modelReply is what the model does.
type modelReply struct {
	text  []string // one chunk each
	calls []modelCall
	pause time.Duration // between chunks
	// status answers with an error instead; cut ends the stream without a finish; inBand sends an error event.
	status int
	error  string
	cut    bool
	inBand string
	hang   bool   // never ends: until the client goes away
	silent bool   // reports no usage
	finish string // why it stops, if not for what its answer is
	cost   string // what it costs in US dollars; nobody knows if it is empty
}

type modelCall struct{ name, arguments string }

func newFakeModel(t testing.TB, script func(modelAsked) modelReply) *fakeModel {
	t.Helper()

	model := &fakeModel{t: t, script: script}
	model.Server = httptest.NewServer(http.HandlerFunc(model.serve))
	t.Cleanup(model.Close)

	return model
}

func (m *fakeModel) asked() []modelAsked {
	m.mu.Lock()
	defer m.mu.Unlock()

	return append([]modelAsked{}, m.requests...)
}

func (m *fakeModel) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/prices" && m.prices != "" {
		_, _ = fmt.Fprint(w, m.prices)

		return
	}

	if r.URL.Path == "/v1/embeddings" {
		m.embed(w, r)

		return
	}

	if r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)

		return
	}

	body, _ := io.ReadAll(r.Body)

	asked := modelAsked{Agent: r.Header.Get("serin-agent"), body: string(body)}
	if err := json.Unmarshal(body, &asked); err != nil {
		m.t.Errorf("bad request: %v", err)
	}

	m.checkOrphans(asked)
	m.mu.Lock()
	m.requests = append(m.requests, asked)
	m.mu.Unlock()

	m.answer(w, r, m.script(asked))
}

// checkOrphans fails the test unless every call is followed by its result, in the order of the calls.
func (m *fakeModel) checkOrphans(asked modelAsked) {
	var open []string

	for _, message := range asked.Messages {
		switch {
		case message.Role == "tool" && (len(open) == 0 || open[0] != message.ToolCallID):
			m.t.Errorf("result of %s where %v are open", message.ToolCallID, open)
		case message.Role == "tool":
			open = open[1:]
		case len(open) > 0:
			m.t.Errorf("calls %v have no result", open)
		}

		for _, call := range message.ToolCalls {
			open = append(open, call.ID)
		}
	}

	if len(open) > 0 {
		m.t.Errorf("calls %v have no result", open)
	}
}

func (m *fakeModel) answer(w http.ResponseWriter, r *http.Request, reply modelReply) {
	w.Header().Set("serin-simulated", "true")
	w.Header().Set("serin-provider", "script")

	if reply.status != 0 {
		w.Header().Set("content-type", "application/json")
		w.WriteHeader(reply.status)
		fmt.Fprintf(w, `{"error":{"message":%q,"code":"oops"}}`, reply.error)

		return
	}

	w.Header().Set("content-type", "text/event-stream")

	for _, text := range reply.text {
		m.chunk(w, map[string]any{"delta": map[string]any{"content": text}})

		if reply.pause > 0 {
			select {
			case <-time.After(reply.pause):
			case <-r.Context().Done():
				return
			}
		}
	}

	if reply.hang {
		<-r.Context().Done()

		return
	}

	if reply.cut {
		return
	}

	if reply.inBand != "" {
		fmt.Fprintf(w, "data: {\"error\":{\"message\":%q}}\n\n", reply.inBand)

		return
	}

	m.finish(w, reply)
}

func (m *fakeModel) finish(w http.ResponseWriter, reply modelReply) {
	reason := "stop"

	for i, call := range reply.calls {
		reason = "tool_calls"
		half := len(call.arguments) / 2
		m.chunk(w, map[string]any{"delta": map[string]any{"tool_calls": []any{map[string]any{
			"index": i, "id": fmt.Sprint("x", i), "type": "function",
			"function": map[string]any{"name": call.name, "arguments": call.arguments[:half]},
		}}}})
		m.chunk(w, map[string]any{"delta": map[string]any{"tool_calls": []any{map[string]any{
			"index": i, "function": map[string]any{"arguments": call.arguments[half:]},
		}}}})
	}

	if reply.finish != "" {
		reason = reply.finish
	}

	m.chunk(w, map[string]any{"delta": map[string]any{}, "finish_reason": reason})

	if !reply.silent {
		used := map[string]any{"choices": []any{}, "usage": map[string]any{"prompt_tokens": 10, "completion_tokens": 5}}
		if reply.cost != "" {
			used["serin"] = map[string]any{"provider": "script", "cost_usd": json.Number(reply.cost)}
		}

		m.send(w, used)
	}

	fmt.Fprint(w, "data: [DONE]\n\n")
}

func (m *fakeModel) chunk(w http.ResponseWriter, choice map[string]any) {
	m.send(w, map[string]any{"choices": []any{choice}})
}

func (m *fakeModel) send(w http.ResponseWriter, chunk map[string]any) {
	chunk["id"], chunk["object"], chunk["model"] = "1", "chat.completion.chunk", "script-1"

	data, err := json.Marshal(chunk)
	if err != nil {
		m.t.Error(err)
	}

	fmt.Fprintf(w, "data: %s\n\n", data)
	w.(http.Flusher).Flush()
}
