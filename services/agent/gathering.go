package agent

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/openai/openai-go/v3"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// maxCalls is how many tool calls one message may have.
const maxCalls = 64

// gathering puts an answer together from its chunks.
type gathering struct {
	text   strings.Builder
	calls  []*gatheredCall
	finish string
	model  string
	usage  *eventv1.Usage
	extra  extra
}

type gatheredCall struct {
	index     int64
	id, name  string
	arguments strings.Builder
}

// extra is what the ambassador adds to chunks in the field serin.
type extra struct {
	Simulated bool   `json:"simulated"`
	Provider  string `json:"provider"`
	// CostUSD is absent where no price is known.
	CostUSD *float64 `json:"cost_usd"`
}

// add takes a chunk and returns the text in it.
func (g *gathering) add(chunk openai.ChatCompletionChunk) string {
	if chunk.Model != "" {
		g.model = chunk.Model
	}

	if chunk.JSON.Usage.Valid() {
		g.usage = &eventv1.Usage{
			InputTokens: chunk.Usage.PromptTokens, OutputTokens: chunk.Usage.CompletionTokens,
			CachedInputTokens: chunk.Usage.PromptTokensDetails.CachedTokens,
		}
	}

	if field, ok := chunk.JSON.ExtraFields["serin"]; ok {
		_ = json.Unmarshal([]byte(field.Raw()), &g.extra) // what is not understood is not needed
	}

	before := g.text.Len()
	for _, choice := range chunk.Choices {
		g.choice(choice)
	}

	return g.text.String()[before:]
}

func (g *gathering) choice(choice openai.ChatCompletionChunkChoice) {
	if choice.FinishReason != "" {
		g.finish = choice.FinishReason
	}

	for _, delta := range choice.Delta.ToolCalls {
		call := g.call(delta)
		call.name += delta.Function.Name
		call.arguments.WriteString(delta.Function.Arguments)
	}

	g.text.WriteString(choice.Delta.Content)
	g.text.WriteString(choice.Delta.Refusal)
}

// call finds the call that a delta goes on with. Some providers give every call the same index: a new id is a new call.
func (g *gathering) call(delta openai.ChatCompletionChunkChoiceDeltaToolCall) *gatheredCall {
	for _, call := range slices.Backward(g.calls) {
		if call.index == delta.Index && (delta.ID == "" || call.id == "" || delta.ID == call.id) {
			if call.id == "" {
				call.id = delta.ID
			}

			return call
		}
	}

	call := &gatheredCall{index: delta.Index, id: delta.ID}
	g.calls = append(g.calls, call)

	return call
}

// answer is what was gathered. Usage that the provider did not report is estimated, since budgets depend on it.
func (g *gathering) answer(request modelRequest, response *http.Response) *answer {
	whole := &answer{
		text: g.text.String(), finish: g.finish, usage: g.usage, model: g.model,
		provider: g.extra.Provider, simulated: g.extra.Simulated,
	}

	written := g.text.Len()

	for _, call := range g.calls[:min(len(g.calls), maxCalls)] {
		whole.calls = append(whole.calls, call.event())
		written += len(call.name) + call.arguments.Len()
	}

	if whole.usage == nil {
		whole.usage = &eventv1.Usage{
			InputTokens:  int64(len(request.system)+size(request.prompt))/bytesPerToken + 1,
			OutputTokens: int64(written)/bytesPerToken + 1,
		}
	}

	if g.extra.CostUSD != nil {
		cost := micros(*g.extra.CostUSD)
		whole.usage.CostMicros = &cost
	}

	if response != nil {
		whole.simulated = whole.simulated || isTrue(response.Header.Get(headerSimulated))
		if provider := response.Header.Get(headerProvider); provider != "" {
			whole.provider = provider
		}
	}

	return whole
}

// event is the call as the log has it; its id comes from its place in the log.
func (c *gatheredCall) event() *eventv1.ToolCall {
	arguments := c.arguments.String()
	if strings.TrimSpace(arguments) == "" {
		arguments = "{}"
	}

	name := cut(c.name, 128)
	if name == "" {
		name = "unnamed"
	}

	return &eventv1.ToolCall{Tool: name, Arguments: arguments}
}

func isTrue(header string) bool { return header == "1" || strings.EqualFold(header, "true") }
