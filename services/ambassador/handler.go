package ambassador

import (
	"context"
	"net/http"
)

// Handler serves POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models in OpenAI's format, POST /v1/messages in
// Anthropic's, and GET /v1/prices. It needs an http.Server without a WriteTimeout; Deadlines.Total bounds each request.
// http.Server.Shutdown lets running streams finish.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(s.traced("POST /v1/chat/completions", s.serveAt(chatDoor{}, withoutHeader(readChat))))
	mux.HandleFunc(s.traced("POST /v1/messages", s.serveAt(messagesDoor{}, readMessages)))
	mux.HandleFunc(s.traced("POST /v1/embeddings", s.serveAt(chatDoor{}, withoutHeader(readEmbeddings))))
	mux.HandleFunc("GET /v1/models", s.serveModels)
	mux.HandleFunc("GET /v1/prices", s.servePrices)
	mux.HandleFunc("/", serveNothing)

	return mux
}

func serveNothing(writer http.ResponseWriter, request *http.Request) {
	nothing := badRequest("", "there is no "+request.Method+" "+request.URL.Path+
		"; POST /v1/chat/completions, POST /v1/messages, POST /v1/embeddings, GET /v1/models and GET /v1/prices are served")
	nothing.status = http.StatusNotFound
	nothing.write(writer)
}

// reader reads and checks a request as one API has it.
type reader func(body []byte, header http.Header) (*chatRequest, *apiError)

// withoutHeader is for APIs that say all in the body.
func withoutHeader(read func(body []byte) (*chatRequest, *apiError)) reader {
	return func(body []byte, _ http.Header) (*chatRequest, *apiError) { return read(body) }
}

// serveAt serves one API: routes, keys, retries and costs are the same for all.
func (s *Service) serveAt(door door, read reader) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		body, refused := readBody(writer, request, s.cfg.MaxBodyBytes)
		if refused != nil {
			refused.through(door, writer)

			return
		}

		chat, refused := read(body, request.Header)
		if refused != nil {
			refused.through(door, writer)

			return
		}

		s.serve(writer, request, chat)
	}
}

// serve routes a request and answers it.
func (s *Service) serve(writer http.ResponseWriter, request *http.Request, chat *chatRequest) {
	// The client's own context: when it goes away, the provider stops.
	ctx, cancel := context.WithTimeoutCause(request.Context(), s.cfg.Deadlines.Total, errLateAnswer)
	defer cancel()

	targets := s.targets(ctx, chat.models)
	if len(targets) == 0 {
		unserved(chat.models[0]).through(chat.door, writer)

		return
	}

	s.budget.deposit()
	answer(writer, chat.door, (&call{service: s, chat: chat, writer: writer}).run(ctx, targets))
}

func unserved(model string) *apiError {
	unknown := badRequest("model", "no provider serves the model "+model)
	unknown.status = http.StatusNotFound

	return unknown
}

// answer tells a failure, if there is one: as an HTTP error while nothing was sent, as the last event of a stream
// afterwards. The connection is then cut off without the end of the body, so that not even a client that skips the
// event takes the answer for a whole one.
func answer(writer http.ResponseWriter, door door, failed *failure) {
	switch {
	case failed == nil:
	case failed.class == classCancelled:
		panic(http.ErrAbortHandler)
	case !failed.committed:
		apiErrorOf(failed).through(door, writer)
	default:
		_, _ = writer.Write(door.last(apiErrorOf(failed))) // the client may be gone
		_ = http.NewResponseController(writer).Flush()

		panic(http.ErrAbortHandler)
	}
}
