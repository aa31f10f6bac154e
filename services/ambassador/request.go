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
}

// readChat reads and checks a request. Everything that is not checked here is the provider's to judge.
func readChat(body []byte) (*chatRequest, *apiError) {
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "the body is not valid JSON")
	}

	root := gjson.ParseBytes(body)
	if !root.IsObject() {
		return nil, badRequest("", "the body must be a JSON object")
	}

	found := gjson.GetManyBytes(body, "model", "models", "messages", "stream", "stream_options.include_usage")
	request := &chatRequest{body: body, stream: found[3].Bool(), usage: found[4].Bool()}

	switch {
	case found[0].Type != gjson.String && found[0].Exists():
		return nil, badRequest("model", "model must be a string")
	case !found[2].IsArray() || len(found[2].Raw) < len("[0]"):
		return nil, badRequest("messages", "messages must be an array with at least one message")
	case found[3].Exists() && !found[3].IsBool() && found[3].Type != gjson.Null:
		return nil, badRequest("stream", "stream must be a boolean")
	}

	models, err := readModels(found[0], found[1])
	request.models = models

	return request, err
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
	body, err := sjson.SetBytes(r.body, "model", model)

	if err == nil && r.stream && !r.usage {
		body, err = sjson.SetBytes(body, "stream_options.include_usage", true)
	}

	if err == nil && gjson.GetBytes(r.body, "models").Exists() {
		body, err = sjson.DeleteBytes(body, "models")
	}

	return body, err //nolint:wrapcheck // can only fail for bodies that readChat refused
}

// readBody reads a bounded body.
func readBody(writer http.ResponseWriter, request *http.Request, limit int64) ([]byte, *apiError) {
	if request.ContentLength > limit {
		return nil, tooLarge(limit)
	}

	body, err := readAll(http.MaxBytesReader(writer, request.Body, limit), request.ContentLength)

	var large *http.MaxBytesError
	if errors.As(err, &large) {
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
