package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/agent/pii"
)

// What a memory may hold, as the store has it, and what a model gets to read of its errors.
const (
	maxMemoryText   = 4096
	maxForget       = 100
	textHiddenFacts = "Placeholders mean nothing in another conversation, and what they stand for is kept from tools: write it without them."
)

// memoryTools are the tools that memory brings to a model.
func memoryTools(writes bool) []tool {
	text := func(description string) map[string]any {
		return map[string]any{"type": "string", "description": description}
	}
	form := func(required string, properties map[string]any) map[string]any {
		return map[string]any{
			"type": "object", "required": []string{required}, "additionalProperties": false, "properties": properties,
		}
	}

	recall := tool{
		name: agentspec.ToolRecall, description: "Look up what is remembered of the user from earlier conversations.",
		schema: form("query", map[string]any{"query": text("What to look for, in words that the memory may hold.")}),
	}
	if !writes {
		return []tool{recall}
	}

	return []tool{recall, {
		name: agentspec.ToolRemember, description: "Remember a fact about the user for later conversations.",
		schema: form("text", map[string]any{"text": text("The fact, in a sentence that is clear by itself.")}),
	}, {
		name: agentspec.ToolForget, description: "Forget what is remembered, for good.",
		schema: form("memory_ids", map[string]any{"memory_ids": map[string]any{
			"type": "array", "minItems": 1, "maxItems": maxForget, "items": map[string]any{"type": "string"},
			"description": "Which memories, by the memory_id that recall tells.",
		}}),
	}}
}

// useMemory runs calls of memory's tools, one after the other. Each may run again after a crash: a memory has the id of its
// call, and forgetting twice is forgetting once.
func (x *execution) useMemory(next useMemory) error {
	if err := x.flush(); err != nil { // a call must be in the log before it runs
		return err
	}

	for _, call := range next.calls {
		output, err := x.memoryCall(call)

		outcome := eventv1.ToolResult_OUTCOME_OK

		switch {
		case err == nil:
		case lostTurn(err):
			return err
		case x.work.Err() != nil:
			return x.cause()
		default:
			outcome, output = eventv1.ToolResult_OUTCOME_ERROR, fault.From(err).Message
		}

		x.emit(x.step(), resultEvent(settled{call: call, outcome: outcome, output: output}))
	}

	return nil
}

func (x *execution) memoryCall(call call) (output string, err error) {
	var wish struct {
		Query     string   `json:"query"`
		Text      string   `json:"text"`
		MemoryIDs []string `json:"memory_ids"`
	}

	if err := json.Unmarshal([]byte(call.Arguments), &wish); err != nil {
		return "", badWish("query and text must be strings, memory_ids a list of strings. Write them again.")
	}

	switch call.Tool {
	case agentspec.ToolRecall:
		return x.recall(wish.Query)
	case agentspec.ToolRemember:
		return x.remember(call.ID, wish.Text)
	default:
		return x.forget(wish.MemoryIDs)
	}
}

func badWish(format string, args ...any) error {
	return fault.New(codes.InvalidArgument, "INVALID", format, args...)
}

// recalled is a memory as a model reads it.
type recalled struct {
	MemoryID string `json:"memory_id"`
	Text     string `json:"text"`
	Stored   string `json:"stored"`
}

func (x *execution) recall(query string) (string, error) {
	if query == "" {
		return "", badWish("query: say what to look for.")
	}

	ctx, cancel := context.WithTimeout(x.work, x.rules.memory.timeout)
	defer cancel()

	found, problem, err := x.search(ctx, query, cut(x.rules.veil(x.state).text(query), maxLibraryQuery))
	if err != nil {
		if lostTurn(err) {
			return "", err
		}

		return "", fault.New(codes.Unavailable, "NO_MEMORY", "%s", problem)
	}

	told := struct {
		Memories []recalled `json:"memories"`
		Problem  string     `json:"problem,omitempty"`
	}{Memories: []recalled{}, Problem: problem}

	for _, one := range affordable(found.GetMemories()) {
		kept := one.GetMemory()
		told.Memories = append(told.Memories, recalled{
			MemoryID: kept.GetMemoryId(), Text: kept.GetText(), Stored: kept.GetCreatedAt().AsTime().UTC().Format(time.DateOnly),
		})
	}

	text, err := json.Marshal(told)
	if err != nil {
		return "", fault.From(err)
	}

	return string(text), nil
}

func (x *execution) remember(callID, text string) (string, error) {
	veil := x.rules.veil(x.state)

	switch {
	case text == "":
		return "", badWish("text: say what to remember.")
	case len(text) > maxMemoryText:
		return "", badWish("text: %d bytes are too many, %d are allowed. Write it shorter.", len(text), maxMemoryText)
	case x.rules.redaction.fromTools() && pii.HasPlaceholder(text):
		return "", badWish(textHiddenFacts)
	}

	// Without its vector a memory is found by its words.
	vector, _ := x.embed(x.work, veil.text(text))

	request := &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Lease{Lease: x.tenure.ref()}, MemoryId: callID, Text: text, Embedding: vector,
	}
	if x.rules.memory.ttl > 0 {
		request.Ttl = durationpb.New(x.rules.memory.ttl)
	}

	err := x.surely(func(ctx context.Context) error {
		_, err := x.service.config.Context.CreateMemory(ctx, request)

		return err
	})
	if err != nil {
		return "", err
	}

	return "Remembered.", nil
}

func (x *execution) forget(ids []string) (string, error) {
	if len(ids) == 0 || len(ids) > maxForget {
		return "", badWish("memory_ids: give 1 to %d ids, as recall tells them.", maxForget)
	}

	var deleted int64

	err := x.surely(func(ctx context.Context) error {
		answer, err := x.service.config.Context.DeleteMemories(ctx, &contextv1.DeleteMemoriesRequest{
			Owner: &contextv1.DeleteMemoriesRequest_Lease{Lease: x.tenure.ref()}, MemoryIds: ids,
		})
		deleted = answer.GetDeleted()

		return err
	})
	if err != nil {
		return "", err
	}

	return fmt.Sprintf("Of %d memories, %d were there; they are forgotten.", len(ids), deleted), nil
}

// surely does what may be done twice, and tries for as long as the work lasts.
func (x *execution) surely(do func(context.Context) error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ctx, cancel := context.WithTimeout(x.work, appendTimeout)
		err := do(ctx)

		cancel()

		if err == nil || x.work.Err() != nil || !retryable(err) {
			return err
		}

		pause(x.work, max(wait, fault.From(err).RetryAfter))
	}
}
