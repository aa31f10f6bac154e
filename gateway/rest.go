package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	memoryv1 "github.com/serinhq/serin/gen/serin/memory/v1"
	"github.com/serinhq/serin/internal/fault"
)

// rest is the REST door.
type rest struct {
	*Service

	door   guarded
	routes []*route
	mux    *runtime.ServeMux
	index  []byte
	docs   http.Handler
}

// Handler serves REST: the routes of the services' annotations, SSE on those that stream, an index at /, the API's
// description at /openapi.json, and that as a page for people at /docs.
func (s *Service) Handler() http.Handler {
	d := &rest{
		Service: s, door: guarded{Service: s}, routes: routesOf(), index: s.indexPage(), docs: newDocs(),
	}
	d.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, jsonCodec{}),
		runtime.WithErrorHandler(d.restError),
		runtime.WithRoutingErrorHandler(d.routingError),
		runtime.WithMiddlewares(d.routed),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)

	// It only fails if the mux refuses a pattern, and patterns are generated.
	if err := conversationv1.RegisterConversationServiceHandlerServer(context.Background(), d.mux, d.door); err != nil {
		panic(err)
	}

	if err := memoryv1.RegisterMemoryServiceHandlerServer(context.Background(), d.mux, memories{Service: s}); err != nil {
		panic(err)
	}

	if err := d.registerRollouts(d.mux); err != nil {
		panic(err)
	}

	return d.observed(d.crossOrigin(http.HandlerFunc(d.serve)))
}

// serve tells pages from the API.
func (d *rest) serve(w http.ResponseWriter, r *http.Request) {
	client := clientOf(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), d.cfg.Door.TrustedProxies)
	if err := d.perClient.takeClient(r.Context(), client); err != nil {
		writeError(w, r, err)

		return
	}

	switch {
	case r.URL.Path == "/":
		d.page(w, r, d.index)
	case r.URL.Path == "/openapi.json" && d.cfg.OpenAPI != nil:
		d.page(w, r, d.cfg.OpenAPI)
	case isDocs(r.URL.Path) && d.cfg.OpenAPI != nil:
		d.docsPage(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		d.api(w, r)
	default:
		writeError(w, r, errRoute(r.URL.Path))
	}
}

// api lets those in who may, before anything of their request is read.
func (d *rest) api(w http.ResponseWriter, r *http.Request) {
	if err := d.checkOrigin(r); err != nil {
		writeError(w, r, err)

		return
	}

	principal, err := d.identify(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		writeError(w, r, err)

		return
	}

	if principal.Role != RoleOperator {
		dropReserved(r.Header)
	}

	callOf(r.Context()).principal = &principal

	d.mux.ServeHTTP(w, r)
}

func dropReserved(header http.Header) {
	for key := range header {
		if isReserved(key) {
			delete(header, key)
		}
	}
}

// routed stands before each route's handler: it knows the route, checks the address, reads the body, and turns to SSE
// where that is asked for.
func (d *rest) routed(next runtime.HandlerFunc) runtime.HandlerFunc {
	var ( // all requests that come here are of one route
		once    sync.Once
		matched *route
	)

	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		once.Do(func() { matched = d.route(r) })

		callOf(r.Context()).route = matched.String()

		if r.URL.RawQuery != "" {
			if err := matched.checkQuery(r.URL.Query()); err != nil {
				writeError(w, r, err)

				return
			}
		}

		if r.Method == http.MethodPost {
			body, err := readBody(w, r, d.cfg.Door.MaxBodyBytes, d.cfg.RequestTimeout)
			if err != nil {
				writeError(w, r, err)

				return
			}

			r.Body = body
		}

		if stream := d.streamFor(matched, r); stream != nil {
			stream(w, r, params)

			return
		}

		next(w, r, params)
	}
}

// route finds the route of a request whose pattern matched.
func (d *rest) route(r *http.Request) *route {
	for _, candidate := range d.routes {
		if candidate.verb == r.Method && candidate.matches(r.URL.Path) {
			return candidate
		}
	}

	return &route{verb: r.Method, template: "unknown"}
}

// incomingHeader says which headers become metadata. Authorization always does.
func incomingHeader(key string) (string, bool) {
	switch {
	case key == "Idempotency-Key", key == "Last-Event-Id", isReserved(key) && !strings.HasPrefix(key, "Grpc-"):
		return strings.ToLower(key), true
	default:
		return "", false
	}
}

func (d *rest) restError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if body, ok := r.Body.(*jsonBody); ok && body.fault != nil {
		writeError(w, r, body.fault)

		return
	}

	if _, odd := err.(*runtime.HTTPStatusError); odd { //nolint:errorlint // grpc-gateway makes it itself, for bad escapes in paths
		err = fault.New(codes.InvalidArgument, "MALFORMED_PATH", "the path is not well escaped: %w", err)
	}

	writeError(w, r, withJSONNames(err))
}

func (d *rest) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	if verbs := allowed(d.routes, r.URL.Path); status == http.StatusMethodNotAllowed && len(verbs) > 0 {
		w.Header().Set("Allow", strings.Join(verbs, ", "))
		writeError(w, r, errVerb(r.Method, r.URL.Path, verbs))

		return
	}

	writeError(w, r, errRoute(r.URL.Path))
}

// jsonCodec is grpc-gateway's marshaler: lowerCamelCase, zero values omitted, bodies from [jsonBody].
type jsonCodec struct{}

var _ runtime.Marshaler = jsonCodec{}

func (jsonCodec) ContentType(any) string { return "application/json" }

func (jsonCodec) Marshal(value any) ([]byte, error) {
	message, ok := value.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", value)
	}

	return protojson.Marshal(message) //nolint:wrapcheck // grpc-gateway answers with it
}

func (jsonCodec) Unmarshal(data []byte, into any) error {
	message, ok := into.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", into)
	}

	return decodeJSON(data, message)
}

func (c jsonCodec) NewDecoder(reader io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(into any) error {
		message, isMessage := into.(proto.Message)

		body, isRead := reader.(*jsonBody)
		if !isMessage || !isRead {
			return fmt.Errorf("%T into %T", reader, into)
		}

		return body.decode(message)
	})
}

func (c jsonCodec) NewEncoder(writer io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(value any) error {
		data, err := c.Marshal(value)
		if err != nil {
			return err
		}

		_, err = writer.Write(data)

		return err //nolint:wrapcheck // grpc-gateway answers with it
	})
}
