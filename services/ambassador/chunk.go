package ambassador

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// bytesPerToken is the usual rule of thumb for estimating tokens.
const bytesPerToken = 4

// chunk is what a stream's chunk says, read without decoding it as a whole.
type chunk struct {
	valid bool
	// failed: the chunk is an error object.
	failed bool
	// content: the chunk has something that a client would show or run, or that ends a choice.
	content bool
	// usage is the raw usage object, nil if there is none.
	usage []byte
	// only: there is nothing but usage.
	only bool
}

// tally adds up what a stream has said so far.
type tally struct {
	// open are the choices that have not finished, by index.
	open map[int64]bool
	// finished: at least one choice has.
	finished bool
	usage    usage
	// produced is the size of what the model wrote, in bytes.
	produced int
	// id, created and model are the first chunk's, raw, for the chunk that is made here.
	id, created, model string
}

// read takes in one chunk.
func (t *tally) read(data []byte) chunk {
	found := chunk{valid: gjson.ValidBytes(data)}
	root := gjson.ParseBytes(data)

	if found.valid = found.valid && root.IsObject(); !found.valid {
		return found
	}

	choices := 0

	root.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "error":
			found.failed = value.Type != gjson.Null
		case "usage":
			if value.IsObject() {
				found.usage = []byte(value.Raw)
				t.usage = readUsage(value)
			}
		case "choices":
			value.ForEach(func(_, choice gjson.Result) bool {
				choices++
				found.content = t.choice(choice) || found.content

				return true
			})
		case "id":
			t.first(&t.id, value)
		case "created":
			t.first(&t.created, value)
		case "model":
			t.first(&t.model, value)
		}

		return true
	})

	found.only = found.usage != nil && choices == 0

	return found
}

func (t *tally) first(field *string, value gjson.Result) {
	if *field == "" {
		*field = value.Raw
	}
}

// choice takes in one choice and reports whether it has content.
func (t *tally) choice(choice gjson.Result) bool {
	index, content, finished := int64(0), false, false

	choice.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "index":
			index = value.Int()
		case "finish_reason":
			finished = value.Type == gjson.String && value.Str != ""
		case "delta":
			content = t.delta(value)
		}

		return true
	})

	if t.open == nil {
		t.open = make(map[int64]bool, 1)
	}

	if finished {
		delete(t.open, index)
		t.finished = true
	} else if content || !t.finished {
		t.open[index] = true
	}

	return content || finished
}

// delta reports whether there is anything besides the role, whatever the field is called.
func (t *tally) delta(delta gjson.Result) bool {
	content := false

	delta.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "role" || empty(value) {
			return true
		}

		content = true
		t.produced += produced(value)

		return true
	})

	return content
}

func empty(value gjson.Result) bool {
	switch value.Raw {
	case "", "null", `""`, "[]", "{}":
		return true
	default:
		return false
	}
}

func produced(value gjson.Result) int {
	if value.Type == gjson.String {
		return len(value.Str)
	}

	size := 0

	for _, call := range value.Array() {
		function := call.Get("function")
		size += len(function.Get("name").Str) + len(function.Get("arguments").Str)
	}

	return size
}

// complete reports whether every choice that began has finished, and at least one did.
func (t *tally) complete() bool { return t.finished && len(t.open) == 0 }

// withField adds a field to a JSON object without decoding it. The object must be valid and not have the field.
func withField(object []byte, name string, raw []byte) []byte {
	end := bytes.LastIndexByte(object, '}')
	body := bytes.TrimRight(object[:end], " \t\r\n")
	out := make([]byte, 0, len(object)+len(name)+len(raw)+4)
	out = append(out, body...)

	if len(body) > 0 && body[len(body)-1] != '{' {
		out = append(out, ',')
	}

	out = append(out, '"')
	out = append(out, name...)
	out = append(out, `":`...)
	out = append(out, raw...)

	return append(out, object[end:]...)
}
