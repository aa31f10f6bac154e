package ambassador

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/tidwall/sjson"
)

const (
	// anthropicVersion is the version of the Messages API that is spoken here.
	anthropicVersion = "2023-06-01"
	// anthropicMaxTokens is the longest answer where the client names none: the Messages API demands a limit. An answer
	// that reaches it says so, as finish_reason "length".
	anthropicMaxTokens = 8192
)

// anthropic speaks Anthropic's Messages API. Its parts: anthropic_request.go and its neighbours translate what is asked,
// anthropic_answer.go and anthropic_stream.go what is answered.
type anthropic struct{}

func (anthropic) request(ctx context.Context, try outgoing) (*http.Request, error) {
	body, err := anthropicBody(try.chat, try.model)
	if err != nil {
		return nil, err
	}

	request, err := try.post(ctx, "/messages", body, anthropic{})
	if err == nil {
		maps.Copy(request.Header, try.chat.header)
	}

	return request, err
}

// anthropicBody is what the provider is asked: what the client asked in its own words, else a translation.
func anthropicBody(chat *chatRequest, model string) ([]byte, error) {
	switch {
	case chat.path == embeddingsPath:
		return nil, refuse("", "Anthropic's API has no embeddings")
	case !chat.native:
		return messagesBody(chat, model)
	}

	body := chat.withModel(model)
	if !chat.fields.models.Exists() {
		return body, nil
	}

	return sjson.DeleteBytes(body, "models") //nolint:wrapcheck // can only fail for bodies that readChat refused
}

func (anthropic) authorize(request *http.Request, key string) {
	request.Header["Anthropic-Version"] = []string{anthropicVersion}

	if key != "" {
		request.Header["X-Api-Key"] = []string{key}
	}
}

func (anthropic) ignored(chat *chatRequest) []string {
	if chat.native {
		return nil
	}

	return ignoredFields(chat.body)
}

func (anthropic) answer(body []byte) ([]byte, error) { return completionOf(body, time.Now()) }

func (anthropic) stream() translator { return newMessagesStream(time.Now()) }
