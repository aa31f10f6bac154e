package ambassador

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// dialect is how one kind of provider is spoken to: a chat-completions request goes in, chat-completions answers come
// out. There is one file per kind. A dialect does no I/O and keeps no state between requests.
type dialect interface {
	// request makes the upstream request. The key may be empty. It fails with *unsupported if the provider's API can't
	// express what is asked.
	request(ctx context.Context, try outgoing) (*http.Request, error)
	// authorize adds the key, and whatever else each request to the provider must have. The key may be empty.
	authorize(request *http.Request, key string)
	// ignored names the fields of a request that the provider has nothing for and that were left out.
	ignored(chat *chatRequest) []string
	// answer turns a whole answer with status 200 into a chat.completion.
	answer(body []byte) ([]byte, error)
	// stream starts the translation of one stream.
	stream() translator
	// failure reads an answer with any other status.
	failure(status int, header http.Header, body []byte, now time.Time) *failure
}

// translator turns the events of one stream into chat.completion.chunk objects.
type translator interface {
	// translate returns the chunks of one event, none if it means nothing here, and whether the stream has ended
	// as it should. Chunks are valid until the next call.
	translate(event event) (chunks [][]byte, done bool, err error)
	// seen is what the provider has said so far about the usage, besides what is in the chunks.
	seen() usage
}

// outgoing is one try.
type outgoing struct {
	chat    *chatRequest
	baseURL string
	model   string
	key     string
	// number counts the tries for one client request, from 1.
	number int
}

// post makes the request of a try to a path below the base URL.
func (o outgoing) post(ctx context.Context, path string, body []byte, spoken dialect) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err //nolint:wrapcheck // the base URL was checked by New
	}

	request.Header = http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {userAgent},
	}

	if o.chat.stream {
		request.Header["Accept"] = []string{"text/event-stream"}
	}

	spoken.authorize(request, o.key)

	return request, nil
}
