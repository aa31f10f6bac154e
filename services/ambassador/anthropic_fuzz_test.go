package ambassador

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// FuzzAnthropicStream checks that whatever events come, each chunk is one JSON object in one event, and that only a
// stream whose blocks have all ended is taken for a whole one. Events are lines of the input.
func FuzzAnthropicStream(f *testing.F) {
	f.Add([]byte(`{"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":12,"cache_read_input_tokens":4}}}
{"type":"ping"}
{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"a","signature":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}}
{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"\u00e4"}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"}"}}
{"type":"content_block_stop","index":1}
{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":40}}
{"type":"message_stop"}`))
	f.Add([]byte(`{"type":"message_start","message":{}}
{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data" :  "x"}}
{"type":"error","error":{"type":"overloaded_error"}}`))
	f.Add([]byte("{\"type\":\"message_start\"}\n{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\\ud800\"}}"))

	f.Fuzz(func(t *testing.T, input []byte) {
		stream, sum, open := newMessagesStream(time.Unix(7, 0)), &tally{}, map[int64]bool{}

		for line := range bytes.SplitSeq(input, []byte("\n")) {
			chunks, done, err := stream.translate(event{data: line})
			if err != nil {
				return
			}

			root := gjson.ParseBytes(line)
			switch root.Get("type").String() {
			case "content_block_start":
				open[root.Get("index").Int()] = true
			case "content_block_stop":
				delete(open, root.Get("index").Int())
			case "error":
				return
			}

			for _, chunk := range chunks {
				if found := sum.read(chunk); !found.valid || found.failed {
					t.Fatalf("%q became %q", line, chunk)
				}

				oneEvent(t, chunk)
			}

			if done && len(open) > 0 {
				t.Fatalf("done with open blocks %v", open)
			}

			if done {
				return
			}
		}
	})
}

func oneEvent(t *testing.T, chunk []byte) {
	t.Helper()

	framed := newEventReader(bytes.NewReader(appendFrame(nil, chunk)), 1<<20)
	defer framed.close()

	if got, err := framed.next(); err != nil || !gjson.ValidBytes(got.data) {
		t.Fatalf("%q arrives as %q, %v", chunk, got.data, err)
	}

	if _, err := framed.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("one chunk became two events: %q", chunk)
	}
}

// FuzzAnthropicAgree streams an answer in pieces and checks that its chunks add up to what the whole answer says.
func FuzzAnthropicAgree(f *testing.F) {
	f.Add("Hello", `{"id":7}`, "hm", 3)
	f.Add("", `{"text":"line\nline"}`, "", 1)
	f.Add("\u2028ä\x00", `{}`, "\\", 2)

	f.Fuzz(func(t *testing.T, text, input, thought string, step int) {
		if !utf8.ValidString(text+thought) || !gjson.Valid(input) || !strings.HasPrefix(input, "{") || !utf8.ValidString(input) {
			t.Skip("not what a provider sends")
		}

		blocks := []map[string]any{
			{"type": "thinking", "thinking": thought, "signature": "s"},
			{"type": "text", "text": text},
			{"type": "tool_use", "id": "a", "name": "n", "input": json.RawMessage(input)},
		}
		usage := map[string]any{"input_tokens": 12, "cache_read_input_tokens": 4, "output_tokens": 40}

		whole, err := completionOf(encoded(t, map[string]any{
			"id": "m", "model": "c", "content": blocks, "stop_reason": "tool_use", "usage": usage,
		}), time.Unix(7, 0))
		if err != nil {
			t.Fatal(err)
		}

		got := gathered(t, streamOf(t, blocks, usage, max(1, step%50)))
		want := gjson.GetBytes(whole, "choices.0.message")

		if got.text != want.Get("content").String() || got.thought != want.Get("reasoning_content").String() ||
			got.blocks != want.Get("thinking_blocks.0.thinking").String() ||
			compact(got.arguments) != compact(want.Get("tool_calls.0.function.arguments").String()) ||
			got.usage != gjson.GetBytes(whole, "usage").Raw {
			t.Fatalf("got %+v, want %s", got, whole)
		}
	})
}

func encoded(t *testing.T, value any) []byte {
	t.Helper()

	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}

	return data
}

// streamOf is an answer as events, with its texts in pieces.
func streamOf(t *testing.T, blocks []map[string]any, usage map[string]any, step int) [][]byte {
	t.Helper()

	events := []any{map[string]any{"type": "message_start", "message": map[string]any{"id": "m", "model": "c", "usage": map[string]any{
		"input_tokens": usage["input_tokens"], "cache_read_input_tokens": usage["cache_read_input_tokens"], "output_tokens": 1,
	}}}}

	for index, block := range blocks {
		kinds := map[any][4]string{
			"thinking": {"thinking_delta", "thinking", "thinking"}, "text": {"text_delta", "text", "text"},
			"tool_use": {"input_json_delta", "partial_json", "input"},
		}[block["type"]]

		text, ok := block[kinds[2]].(string)
		if !ok {
			text = string(encoded(t, block[kinds[2]]))
		}

		events = append(events, map[string]any{"type": "content_block_start", "index": index, "content_block": map[string]any{
			"type": block["type"], "id": block["id"], "name": block["name"],
		}})

		for letters := []rune(text); len(letters) > 0; letters = letters[min(step, len(letters)):] {
			events = append(events, map[string]any{"type": "content_block_delta", "index": index, "delta": map[string]any{
				"type": kinds[0], kinds[1]: string(letters[:min(step, len(letters))]),
			}})
		}

		if signature := block["signature"]; signature != nil {
			events = append(events, map[string]any{"type": "content_block_delta", "index": index, "delta": map[string]any{
				"type": "signature_delta", "signature": signature,
			}})
		}

		events = append(events, map[string]any{"type": "content_block_stop", "index": index})
	}

	events = append(events, map[string]any{
		"type": "message_delta", "delta": map[string]any{"stop_reason": "tool_use"},
		"usage": map[string]any{"output_tokens": usage["output_tokens"]},
	}, map[string]any{"type": "message_stop"})

	lines := make([][]byte, len(events))
	for i, each := range events {
		lines[i] = encoded(t, each)
	}

	return lines
}

// sums is what chunks add up to.
type sums struct{ text, thought, blocks, arguments, usage string }

func gathered(t *testing.T, events [][]byte) (got sums) {
	t.Helper()

	stream := newMessagesStream(time.Unix(7, 0))

	for _, data := range events {
		chunks, _, err := stream.translate(event{data: data})
		if err != nil {
			t.Fatal(err)
		}

		for _, chunk := range chunks {
			delta := gjson.GetBytes(chunk, "choices.0.delta")
			got.text += delta.Get("content").String()
			got.thought += delta.Get("reasoning_content").String()
			got.blocks += delta.Get("thinking_blocks.0.thinking").String()
			got.arguments += delta.Get("tool_calls.0.function.arguments").String()
			got.usage += gjson.GetBytes(chunk, "usage").Raw
		}
	}

	return got
}
