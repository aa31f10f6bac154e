package ambassador

import (
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// chatRequest is a client's request: the bytes as they came, and what routing needs to know of them.
type chatRequest struct {
	body []byte
	// models are tried in order.
	models []string
	stream bool
	// usage: the client asked for the stream's usage chunk.
	usage bool
	// door is how the client is answered.
	door door
	// path is where OpenAI's API takes the request.
	path string
	// native: the body is of the Messages API, and header are the client's headers that belong to it.
	native bool
	header http.Header
	// fields are those that routing reads, with their places in the body.
	fields routed
}

// routed are the fields of a request that the ambassador reads; those that are absent do not exist.
type routed struct{ model, models, messages, stream, options gjson.Result }

// readChat reads and checks a request in one pass. Everything that is not checked here is the provider's to judge.
func readChat(body []byte) (*chatRequest, *apiError) {
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "the body is not valid JSON")
	}

	root := gjson.ParseBytes(body)
	if !root.IsObject() {
		return nil, badRequest("", "the body must be a JSON object")
	}

	fields, twice := readFields(root)
	request := &chatRequest{
		door: chatDoor{}, path: chatPath, body: body, stream: fields.stream.Bool(), usage: fields.options.Get("include_usage").Bool(), fields: fields,
	}

	switch {
	case twice != "":
		return nil, badRequest(twice, twice+" is given twice")
	case fields.model.Type != gjson.String && fields.model.Type != gjson.Null:
		return nil, badRequest("model", "model must be a string")
	case !fields.messages.IsArray() || len(fields.messages.Raw) < len("[0]"):
		return nil, badRequest("messages", "messages must be an array with at least one message")
	case !fields.stream.IsBool() && fields.stream.Type != gjson.Null:
		return nil, badRequest("stream", "stream must be a boolean")
	case !fields.options.IsObject() && fields.options.Type != gjson.Null:
		return nil, badRequest("stream_options", "stream_options must be an object")
	}

	models, err := readModels(fields.model, fields.models)
	request.models = models

	return request, err
}

// readFields finds the fields. It names one that is given twice: readers differ in which of the two they take, so that
// a provider could be asked for a model that nobody routed to.
func readFields(root gjson.Result) (fields routed, twice string) {
	root.ForEach(func(key, value gjson.Result) bool {
		var field *gjson.Result

		switch key.Str {
		case "model":
			field = &fields.model
		case "models":
			field = &fields.models
		case "messages":
			field = &fields.messages
		case "stream":
			field = &fields.stream
		case "stream_options":
			field = &fields.options
		default:
			return true
		}

		if field.Exists() {
			twice = key.Str
		}

		*field = value

		return true
	})

	return fields, twice
}

// readModels joins the model and the extra field "models", which names fallbacks in order.
func readModels(model, fallbacks gjson.Result) ([]string, *apiError) {
	models := []string{DefaultModel}
	if model.String() != "" {
		models[0] = model.String()
	}

	if fallbacks.Exists() && !fallbacks.IsArray() {
		return nil, badRequest("models", "models must be an array of model names")
	}

	for _, fallback := range fallbacks.Array() {
		if fallback.Type != gjson.String || fallback.String() == "" {
			return nil, badRequest("models", "models must be an array of model names")
		}

		if !slices.Contains(models, fallback.String()) {
			models = append(models, fallback.String())
		}
	}

	return models, nil
}

// upstream is the body for a provider: the model is the provider's name for it, streams always report their usage, and
// the extra field is gone. Everything else stays byte for byte as it was.
func (r *chatRequest) upstream(model string) ([]byte, error) {
	body, err := r.withModel(model), error(nil)

	switch {
	case !r.stream || r.usage:
	case !r.fields.options.Exists():
		body = withField(body, "stream_options", []byte(`{"include_usage":true}`))
	case r.fields.options.IsObject():
		body, err = sjson.SetBytes(body, "stream_options.include_usage", true)
	default:
		body, err = sjson.SetRawBytes(body, "stream_options", []byte(`{"include_usage":true}`))
	}

	if err == nil && r.fields.models.Exists() {
		body, err = sjson.DeleteBytes(body, "models")
	}

	return body, err //nolint:wrapcheck // can only fail for bodies that readChat refused
}

// withModel is a copy of the body with another model. It has room for the field that streams get.
func (r *chatRequest) withModel(model string) []byte {
	const room = 64

	name, old := gjson.AppendJSONString(nil, model), r.fields.model
	if !old.Exists() {
		return withField(r.body, "model", name)
	}

	body := make([]byte, 0, len(r.body)+len(name)+room)
	body = append(body, r.body[:old.Index]...)
	body = append(body, name...)

	return append(body, r.body[old.Index+len(old.Raw):]...)
}

// readBody reads a bounded body.
func readBody(writer http.ResponseWriter, request *http.Request, limit int64) ([]byte, *apiError) {
	if request.ContentLength > limit {
		return nil, tooLarge(limit)
	}

	body, err := readAll(http.MaxBytesReader(writer, request.Body, limit), request.ContentLength)

	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge(limit)
	}

	if err != nil {
		return nil, badRequest("", "the body can't be read: "+err.Error())
	}

	return body, nil
}

// readAll is io.ReadAll with a first guess at the size; a negative size is unknown.
func readAll(source io.Reader, size int64) ([]byte, error) {
	const guess = 4 << 10
	if size < 0 || size > 1<<20 {
		size = guess
	}

	body := make([]byte, 0, size+1) // one more, so that the end is found without growing

	for {
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]

		if errors.Is(err, io.EOF) {
			return body, nil
		}

		if err != nil {
			return body, err //nolint:wrapcheck // the caller asks what it is
		}

		if len(body) == cap(body) {
			body = slices.Grow(body, len(body))
		}
	}
}
