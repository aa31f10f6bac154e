package ambassador

import (
	"errors"
	"fmt"

	"github.com/tidwall/gjson"
)

// messagesEncoder turns chunks into the events of a Messages API stream. Its blocks follow one another: a text, or a
// tool call, ends where the next begins. Reasoning is left out: without the provider's signature no client could send
// it back.
type messagesEncoder struct {
	started bool
	// open is the kind of the block that has not ended, empty if there is none; index is its number.
	open  string
	index int
	// call is the number of the tool call that the open block is.
	call   int64
	reason string
	used   usage
	// serin is the extra field of the chunk that tells the usage.
	serin string
}

var errInterleaved = errors.New("the provider's stream goes back to a tool call that has ended")

func (e *messagesEncoder) chunk(buffer, data []byte) ([]byte, error) {
	root := gjson.ParseBytes(data)
	if !e.started {
		buffer = e.start(buffer, root)
	}

	if used := root.Get("usage"); used.IsObject() {
		e.used, e.serin = readUsage(used), root.Get("serin").Raw
	}

	choice := root.Get("choices.0")
	delta := choice.Get("delta")

	if reason := choice.Get("finish_reason"); reason.Type == gjson.String {
		e.reason = reason.Str
	}

	if text := delta.Get("content").String() + delta.Get("refusal").String(); text != "" {
		buffer = e.text(buffer, text)
	}

	var err error

	for _, call := range delta.Get("tool_calls").Array() {
		if buffer, err = e.tool(buffer, call); err != nil {
			return buffer, err
		}
	}

	return buffer, nil
}

func (e *messagesEncoder) start(buffer []byte, root gjson.Result) []byte {
	e.started, e.index, e.call = true, -1, -1

	return appendEvent(buffer, "message_start", fmt.Appendf(nil,
		`{"type":"message_start","message":{"id":%s,"type":"message","role":"assistant","model":%s,"content":[],`+
			`"stop_reason":null,"stop_sequence":null,"usage":%s}}`,
		quoted(root.Get("id").String()), quoted(root.Get("model").String()), usage{}.messages()))
}

func (e *messagesEncoder) text(buffer []byte, text string) []byte {
	if e.open != "text" {
		buffer = e.begin(buffer, "text", `{"type":"text","text":""}`)
	}

	return e.delta(buffer, `{"type":"text_delta","text":`+quoted(text)+`}`)
}

func (e *messagesEncoder) tool(buffer []byte, call gjson.Result) ([]byte, error) {
	index := call.Get("index").Int()

	switch {
	case index > e.call:
		e.call = index
		buffer = e.begin(buffer, "tool_use", fmt.Sprintf(`{"type":"tool_use","id":%s,"name":%s,"input":{}}`,
			quoted(call.Get("id").String()), quoted(call.Get("function.name").String())))
	case index < e.call || e.open != "tool_use":
		return buffer, errInterleaved
	}

	if part := call.Get("function.arguments").String(); part != "" {
		buffer = e.delta(buffer, `{"type":"input_json_delta","partial_json":`+quoted(part)+`}`)
	}

	return buffer, nil
}

// begin ends the open block and begins another.
func (e *messagesEncoder) begin(buffer []byte, kind, block string) []byte {
	buffer = e.end(buffer)
	e.open = kind
	e.index++

	return appendEvent(buffer, "content_block_start", fmt.Appendf(nil,
		`{"type":"content_block_start","index":%d,"content_block":%s}`, e.index, block))
}

func (e *messagesEncoder) delta(buffer []byte, delta string) []byte {
	return appendEvent(buffer, "content_block_delta", fmt.Appendf(nil,
		`{"type":"content_block_delta","index":%d,"delta":%s}`, e.index, delta))
}

func (e *messagesEncoder) end(buffer []byte) []byte {
	if e.open == "" {
		return buffer
	}

	e.open = ""

	return appendEvent(buffer, "content_block_stop", fmt.Appendf(nil, `{"type":"content_block_stop","index":%d}`, e.index))
}

func (e *messagesEncoder) done(buffer []byte) []byte {
	serin := ""
	if e.serin != "" {
		serin = `,"serin":` + compact(e.serin)
	}

	buffer = appendEvent(e.end(buffer), "message_delta", fmt.Appendf(nil,
		`{"type":"message_delta","delta":{"stop_reason":%s,"stop_sequence":null},"usage":%s%s}`,
		quoted(stopReason(e.reason)), e.used.messages(), serin))

	return appendEvent(buffer, "message_stop", []byte(`{"type":"message_stop"}`))
}
