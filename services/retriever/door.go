package retriever

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// maxBody is the largest request over HTTP.
const maxBody = 256 << 10

// Handler serves POST /v1/retrieve and GET /v1/documents, and gRPC on the same port, which needs HTTP/2. Whoever accepts its
// connections says who may call.
func (s *Service) Handler() http.Handler {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{}, UnmarshalOptions: protojson.UnmarshalOptions{},
		}),
		runtime.WithErrorHandler(func(
			ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, writer http.ResponseWriter, _ *http.Request, err error,
		) {
			s.refuse(ctx, writer, err)
		}),
		runtime.WithDisablePathLengthFallback(),
	)

	// It only fails if the mux refuses a pattern, and patterns are generated.
	if err := retrieverv1.RegisterRetrieverServiceHandlerServer(context.Background(), mux, checked{s}); err != nil {
		panic(err)
	}

	server := rpc.NewPodServer(s.config.Telemetry)
	s.Register(server)

	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.ProtoMajor == 2 && strings.HasPrefix(request.Header.Get("Content-Type"), "application/grpc") {
			server.ServeHTTP(writer, request)

			return
		}

		request.Body = http.MaxBytesReader(writer, request.Body, maxBody)
		mux.ServeHTTP(writer, request)
	})
}

// checked checks requests that come over HTTP; those over gRPC were checked by the server.
type checked struct{ *Service }

func (c checked) Retrieve(ctx context.Context, request *retrieverv1.RetrieveRequest) (*retrieverv1.RetrieveResponse, error) {
	if err := rpc.Validate(request); err != nil {
		return nil, err
	}

	return c.Service.Retrieve(ctx, request)
}

// refuse writes an error in the form that the gateway's have, too.
func (s *Service) refuse(ctx context.Context, writer http.ResponseWriter, err error) {
	inner := fault.From(err)

	body := map[string]any{"code": inner.Code.String(), "reason": inner.Reason, "message": inner.Message}
	if len(inner.Violations) > 0 {
		body["fieldViolations"] = inner.Violations
	}

	data, err := json.Marshal(map[string]any{"error": body})
	if err != nil { // texts always marshal
		http.Error(writer, err.Error(), http.StatusInternalServerError)

		return
	}

	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(inner.HTTPStatus())

	if _, err := writer.Write(append(data, '\n')); err != nil {
		s.config.Telemetry.Logger.DebugContext(ctx, "an answer was not taken", "error", err)
	}
}
