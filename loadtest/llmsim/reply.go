package llmsim

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	fingerprint = "serin-llmsim"
	// bytesPerToken is the usual rule of thumb.
	bytesPerToken = 4
)

// answer is what is said, and in what form.
type answer struct {
	id, model string
	created   int64
	text      string
	calls     []call
	finish    string
	usage     usage
	// asked: the client wants the usage at the end of the stream.
	asked bool
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func tokens(size int) int { return (size + bytesPerToken - 1) / bytesPerToken }

// count estimates tokens by bytes.
func count(chat *chatRequest, answer *answer) usage {
	prompt, completion := 0, len(answer.text)

	for _, message := range chat.Messages {
		prompt += len(message.Content) + bytesPerToken

		for _, call := range message.ToolCalls {
			prompt += len(call.Function.Name) + len(call.Function.Arguments)
		}
	}

	for _, tool := range chat.Tools {
		schema, _ := json.Marshal(tool.Function.Parameters) //nolint:errchkjson // it came as JSON
		prompt += len(tool.Function.Name) + len(tool.Function.Description) + len(schema)
	}

	for _, call := range answer.calls {
		completion += len(call.Function.Name) + len(call.Function.Arguments)
	}

	return usage{tokens(prompt), tokens(completion), tokens(prompt) + tokens(completion)}
}

// truncate ends a text at the most tokens that the client wants.
func (a *answer) truncate(most int) {
	if most > 0 && len(a.calls) == 0 && tokens(len(a.text)) > most {
		a.text, a.finish = clip(a.text, most*bytesPerToken), "length"
	}
}

// envelope is what whole answers and chunks have in common.
type envelope struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	Model       string   `json:"model"`
	Fingerprint string   `json:"system_fingerprint"`
	Choices     []choice `json:"choices"`
	Usage       *usage   `json:"usage,omitempty"`
	Simulated   bool     `json:"simulated"`
}

type choice struct {
	Index   int    `json:"index"`
	Message *reply `json:"message,omitempty"`
	Delta   *reply `json:"delta,omitempty"`
	// Logprobs is always null, as OpenAI sends it unless it is asked for.
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

type reply struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Refusal   *string    `json:"refusal,omitempty"`
	ToolCalls []callPart `json:"tool_calls,omitempty"`
}

// callPart is a tool call, or a part of one in a stream, where it has its index.
type callPart struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionPart `json:"function"`
}

type functionPart struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func (a *answer) envelope(object string, choices []choice) envelope {
	return envelope{
		ID: a.id, Object: object, Created: a.created, Model: a.model, Fingerprint: fingerprint, Choices: choices,
		Simulated: true,
	}
}

// write answers in one piece, after the time that the tokens take.
func (a *answer) write(ctx context.Context, writer http.ResponseWriter, tps float64, fault fault) {
	said := &reply{Role: "assistant", Content: &a.text}
	if len(a.calls) > 0 {
		said.Content = nil
	}

	for _, call := range a.calls {
		said.ToolCalls = append(said.ToolCalls, callPart{
			ID: call.ID, Type: call.Type, Function: functionPart{call.Function.Name, call.Function.Arguments},
		})
	}

	whole := a.envelope("chat.completion", []choice{{Message: said, FinishReason: &a.finish}})
	whole.Usage = &a.usage

	body, err := json.Marshal(whole)
	if err != nil || !pause(ctx, pace(a.usage.CompletionTokens, tps)) {
		return
	}

	writer.Header().Set("Content-Type", "application/json")

	switch fault {
	case faultMalformed:
		body = body[:len(body)/2]
	case faultCut:
		writer.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = writer.Write(body[:len(body)/2]) // the client may be gone

		panic(http.ErrAbortHandler)
	case faultNone:
	}

	_, _ = writer.Write(body) // the client may be gone
}

// pace is how long some tokens take.
func pace(tokens int, tps float64) time.Duration {
	if tps <= 0 {
		return 0
	}

	return time.Duration(float64(tokens) / tps * float64(time.Second))
}

// streamer writes one streamed answer.
type streamer struct {
	answer  *answer
	writer  http.ResponseWriter
	control *http.ResponseController
	tps     float64
}

// stream answers word by word.
func (a *answer) stream(ctx context.Context, writer http.ResponseWriter, tps float64, fault fault) {
	header := writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")

	out := streamer{answer: a, writer: writer, control: http.NewResponseController(writer), tps: tps}
	deltas := a.deltas()

	for at, delta := range deltas {
		if at == (len(deltas)+1)/2 && out.struck(fault) {
			return
		}

		if !out.send(ctx, delta) {
			return
		}
	}

	out.event(a.envelope("chat.completion.chunk", []choice{{Delta: &reply{}, FinishReason: &a.finish}}))

	if a.asked {
		last := a.envelope("chat.completion.chunk", []choice{})
		last.Usage = &a.usage
		out.event(last)
	}

	out.write("data: [DONE]\n\n")
}

// struck applies a fault in the middle of a stream, and reports whether that ends it. Half of the cuts look like a
// clean end of the body, the others like a broken connection.
func (s *streamer) struck(fault fault) bool {
	switch fault {
	case faultMalformed:
		s.write("data: {\"id\":\"" + s.answer.id + "\",\"choices\":[{\"del\n\n")
	case faultCut:
		_ = s.control.Flush() // the client may be gone

		if last := s.answer.id[len(s.answer.id)-1]; last%2 == 0 {
			panic(http.ErrAbortHandler)
		}

		return true
	case faultNone:
	}

	return false
}

// send writes one delta at its time. Without a pace the server's buffer decides when bytes leave.
func (s *streamer) send(ctx context.Context, delta reply) bool {
	s.event(s.answer.envelope("chat.completion.chunk", []choice{{Delta: &delta}}))

	if s.tps <= 0 {
		return ctx.Err() == nil
	}

	size := 0
	if delta.Content != nil {
		size = len(*delta.Content)
	}

	for _, call := range delta.ToolCalls {
		size += len(call.Function.Arguments)
	}

	return s.control.Flush() == nil && pause(ctx, pace(tokens(size), s.tps))
}

func (s *streamer) event(value envelope) {
	body, err := json.Marshal(value)
	if err == nil {
		s.write("data: " + string(body) + "\n\n")
	}
}

func (s *streamer) write(text string) {
	_, _ = s.writer.Write([]byte(text)) // the client may be gone: its context tells
}

// deltas are the parts of a stream: the role, then words, then calls with their arguments in pieces.
func (a *answer) deltas() []reply {
	empty := ""
	parts := []reply{{Role: "assistant", Content: &empty}}

	for word := range strings.SplitAfterSeq(a.text, " ") {
		if word != "" {
			parts = append(parts, reply{Content: &word})
		}
	}

	for at, call := range a.calls {
		parts = append(parts, reply{ToolCalls: []callPart{{
			Index: &at, ID: call.ID, Type: call.Type, Function: functionPart{Name: call.Function.Name},
		}}})

		for piece := range strings.SplitAfterSeq(call.Function.Arguments, ",") {
			parts = append(parts, reply{ToolCalls: []callPart{{Index: &at, Function: functionPart{Arguments: piece}}}})
		}
	}

	return parts
}
