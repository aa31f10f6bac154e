package ambassador

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
)

// messagesStream translates the events of one stream of the Messages API into chunks. It keeps what chunks repeat (id,
// model, time) and what the events say piece by piece (usage, which blocks are open).
type messagesStream struct {
	created int64
	head    []byte // the beginning of each chunk
	used    usage
	blocks  map[int64]*openBlock
	// calls counts the tool calls: chunks number them on their own.
	calls  int
	chunks [][]byte
}

// openBlock is a block that has not ended yet.
type openBlock struct {
	kind string
	call int
	// written: a tool call's arguments have begun.
	written bool
	// input are arguments that came with the block's start.
	input string
	// thought gathers a thinking block, which clients send back as a whole.
	thought, signature string
}

var (
	errNoStart   = errors.New("the provider's stream does not begin with message_start")
	errOpenBlock = errors.New("the provider's stream ended within a content block")
	errNoBlock   = errors.New("the provider's stream goes on with a content block that is not open")
)

func newMessagesStream(now time.Time) *messagesStream {
	return &messagesStream{created: now.Unix(), blocks: map[int64]*openBlock{}}
}

// translate returns the chunks of one event. Pings, and events of kinds that are not known yet, mean nothing here.
func (s *messagesStream) translate(event event) ([][]byte, bool, error) {
	if !gjson.ValidBytes(event.data) {
		return nil, false, errors.New("the provider's stream has an event that is not valid JSON")
	}

	s.chunks = s.chunks[:0]
	root := gjson.ParseBytes(event.data)
	kind := root.Get("type").String()

	switch kind {
	case "error":
		return [][]byte{event.data}, false, nil
	case "message_start":
		s.start(root.Get("message"))

		return s.chunks, false, nil
	case "ping":
		return nil, false, nil
	}

	if s.head == nil {
		return nil, false, errNoStart
	}

	err := s.body(kind, root)

	return s.chunks, kind == "message_stop", err
}

// body takes in an event after message_start.
func (s *messagesStream) body(kind string, root gjson.Result) error {
	switch kind {
	case "content_block_start":
		return s.open(root.Get("index").Int(), root.Get("content_block"))
	case "content_block_delta":
		return s.delta(root.Get("index").Int(), root.Get("delta"))
	case "content_block_stop":
		return s.close(root.Get("index").Int())
	case "message_delta":
		return s.finish(root)
	case "message_stop":
		return s.stop()
	default:
		return nil
	}
}

// seen has the usage of a stream that breaks off, too: message_start tells the prompt's.
func (s *messagesStream) seen() usage { return s.used }

func (s *messagesStream) start(message gjson.Result) {
	s.used = readAnthropicUsage(s.used, message.Get("usage"))
	s.head = fmt.Appendf(nil, `{"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s,"choices":[`,
		quoted(message.Get("id").String()), s.created, quoted(message.Get("model").String()))
	s.choice(`{"role":"assistant","content":""}`, "null")
}

// choice adds a chunk with a delta and a finish reason, both as JSON.
func (s *messagesStream) choice(delta, reason string) {
	chunk := make([]byte, 0, len(s.head)+len(delta)+len(reason)+64)
	chunk = append(chunk, s.head...)
	chunk = append(chunk, `{"index":0,"delta":`...)
	chunk = append(chunk, delta...)
	chunk = append(chunk, `,"finish_reason":`...)
	chunk = append(chunk, reason...)
	s.chunks = append(s.chunks, append(chunk, `}]}`...))
}

func (s *messagesStream) open(index int64, started gjson.Result) error {
	if s.blocks[index] != nil {
		return errOpenBlock
	}

	made := &openBlock{kind: started.Get("type").String(), call: s.calls}
	s.blocks[index] = made

	switch made.kind {
	case "text":
		s.text("content", started.Get("text").String())
	case "thinking":
		made.thought, made.signature = started.Get("thinking").String(), started.Get("signature").String()
		s.text("reasoning_content", made.thought)
	case "redacted_thinking":
		s.choice(`{"thinking_blocks":[`+compact(started.Raw)+`]}`, "null")
	case "tool_use":
		s.calls++

		if input := started.Get("input"); input.IsObject() && input.Raw != "{}" {
			made.input = input.Raw
		}

		s.choice(fmt.Sprintf(
			`{"tool_calls":[{"index":%d,"id":%s,"type":"function","function":{"name":%s,"arguments":""}}]}`,
			made.call, quoted(started.Get("id").String()), quoted(started.Get("name").String())), "null")
	}

	return nil
}

func (s *messagesStream) text(field, text string) {
	if text != "" {
		s.choice(`{"`+field+`":`+quoted(text)+`}`, "null")
	}
}

func (s *messagesStream) delta(index int64, delta gjson.Result) error {
	block := s.blocks[index]
	if block == nil {
		return errNoBlock
	}

	switch delta.Get("type").String() {
	case "text_delta":
		s.text("content", delta.Get("text").String())
	case "thinking_delta":
		block.thought += delta.Get("thinking").String()
		s.text("reasoning_content", delta.Get("thinking").String())
	case "signature_delta":
		block.signature += delta.Get("signature").String()
	case "input_json_delta":
		s.arguments(block, delta.Get("partial_json").String())
	}

	return nil
}

func (s *messagesStream) arguments(block *openBlock, part string) {
	if block.kind != "tool_use" || part == "" { // the provider's own tools are none of the client's
		return
	}

	block.written = true
	s.choice(`{"tool_calls":[{"index":`+strconv.Itoa(block.call)+`,"function":{"arguments":`+quoted(part)+`}}]}`, "null")
}

func (s *messagesStream) close(index int64) error {
	block := s.blocks[index]
	if block == nil {
		return errNoBlock
	}

	delete(s.blocks, index)

	switch {
	case block.kind == "tool_use" && !block.written && block.input == "":
		s.arguments(block, "{}") // a call without arguments has them nevertheless
	case block.kind == "tool_use" && !block.written:
		s.arguments(block, block.input)
	case block.kind == "thinking" && block.signature != "":
		thought, err := json.Marshal(map[string]string{
			"type": "thinking", "thinking": block.thought, "signature": block.signature,
		})
		if err != nil {
			return fmt.Errorf("translate a thought: %w", err)
		}

		s.choice(`{"thinking_blocks":[`+string(thought)+`]}`, "null")
	}

	return nil
}

func (s *messagesStream) finish(root gjson.Result) error {
	s.used = readAnthropicUsage(s.used, root.Get("usage"))

	reason := root.Get("delta.stop_reason")
	if reason.Type != gjson.String {
		return nil
	}

	if len(s.blocks) > 0 { // a tool call that lacks its end must not run
		return errOpenBlock
	}

	s.choice(`{}`, quoted(finishReason(reason.Str)))

	return nil
}

// stop tells the usage, of which message_start and message_delta each had a part.
func (s *messagesStream) stop() error {
	if len(s.blocks) > 0 {
		return errOpenBlock
	}

	if !s.used.known {
		return nil
	}

	chunk := append([]byte{}, s.head...)
	chunk = append(chunk, `],"usage":`...)
	chunk = append(chunk, s.used.raw()...)
	s.chunks = append(s.chunks, append(chunk, '}'))

	return nil
}

// quoted is a text as JSON.
func quoted(text string) string { return string(gjson.AppendJSONString(nil, text)) }

// compact is JSON on one line: chunks must not be broken by what a provider formats nicely.
func compact(raw string) string { return gjson.Get(raw, "@ugly").Raw }
