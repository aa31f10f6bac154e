package ambassador

import "github.com/tidwall/gjson"

// The paths of OpenAI's API that requests go on to.
const (
	chatPath       = "/chat/completions"
	embeddingsPath = "/embeddings"
)

// readEmbeddings reads and checks a request, which is passed on as it is. It must name a model: a provider's default one talks.
func readEmbeddings(body []byte) (*chatRequest, *apiError) {
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "the body is not valid JSON")
	}

	root := gjson.ParseBytes(body)
	fields, twice := readFields(root)

	switch input := root.Get("input"); {
	case !root.IsObject():
		return nil, badRequest("", "the body must be a JSON object")
	case twice != "":
		return nil, badRequest(twice, twice+" is given twice")
	case fields.model.Type != gjson.String || fields.model.Str == "":
		return nil, badRequest("model", "model must be the name of an embedding model")
	case input.Type != gjson.String && !input.IsArray():
		return nil, badRequest("input", "input must be a text or an array")
	}

	models, refused := readModels(fields.model, fields.models)

	return &chatRequest{
		door: chatDoor{}, path: embeddingsPath, body: body, models: models,
		fields: routed{model: fields.model, models: fields.models},
	}, refused
}

// first is where the answer to a request has its first result.
func (r *chatRequest) first() string {
	if r.path == embeddingsPath {
		return "data.0"
	}

	return "choices.0"
}
