package ambassador

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// openAI speaks OpenAI's own API, which is also ours: nothing is translated.
type openAI struct{}

func (openAI) request(ctx context.Context, try outgoing) (*http.Request, error) {
	chat, err := try.chat.chat()
	if err != nil {
		return nil, err
	}

	body, err := chat.upstream(try.model)
	if err != nil {
		return nil, err
	}

	return try.post(ctx, chat.path, body, openAI{})
}

const userAgent = "serin-ambassador"

func (openAI) authorize(request *http.Request, key string) {
	if key != "" {
		request.Header["Authorization"] = []string{"Bearer " + key}
	}
}

func (openAI) ignored(*chatRequest) []string { return nil }

func (openAI) answer(body []byte) ([]byte, error) { return body, nil }

func (openAI) failure(status int, header http.Header, body []byte, now time.Time) *failure {
	return classify(status, header, body, now)
}

func (openAI) stream() translator { return &openAIStream{} }

type openAIStream struct{ chunk [1][]byte }

func (*openAIStream) seen() usage { return usage{} }

var doneMark = []byte("[DONE]")

func (s *openAIStream) translate(event event) ([][]byte, bool, error) {
	if bytes.Equal(bytes.TrimSpace(event.data), doneMark) {
		return nil, true, nil
	}

	s.chunk[0] = event.data

	return s.chunk[:], false, nil
}
