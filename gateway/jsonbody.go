package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/serinhq/serin/internal/fault"
)

// jsonBody is a request's body that was read whole. It remembers why it could not be decoded, because grpc-gateway
// keeps only an error's text.
type jsonBody struct {
	data  []byte
	fault error
}

// Read makes it an io.ReadCloser for http.Request. grpc-gateway's mux does not read it: see [jsonCodec].
func (b *jsonBody) Read([]byte) (int, error) { return 0, io.EOF }

// Close does nothing.
func (b *jsonBody) Close() error { return nil }

func (b *jsonBody) decode(into proto.Message) error {
	b.fault = decodeJSON(b.data, into)

	return b.fault
}

// statusError is a fault with an HTTP status of its own.
type statusError struct {
	fault  *fault.Error
	status int
}

func (s statusError) Error() string { return s.fault.Message }

func (s statusError) Unwrap() error { return s.fault }

func withStatus(status int, err *fault.Error) error { return statusError{fault: err, status: status} }

// readBody reads a body of JSON: at most limit bytes, within the timeout.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, timeout time.Duration) (*jsonBody, error) {
	if r.ContentLength == 0 {
		return &jsonBody{}, nil
	}

	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(timeout)) // without deadlines the server's own limits must do

	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, bodyFault(err)
	}

	_ = control.SetReadDeadline(time.Time{})

	if len(data) > 0 && !isJSON(r.Header.Get("Content-Type")) {
		return nil, withStatus(http.StatusUnsupportedMediaType, fault.New(codes.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE",
			"Content-Type %q: must be application/json", r.Header.Get("Content-Type")))
	}

	return &jsonBody{data: data}, nil
}

func bodyFault(err error) error {
	var tooLarge *http.MaxBytesError

	switch {
	case errors.As(err, &tooLarge):
		return withStatus(http.StatusRequestEntityTooLarge, fault.New(codes.InvalidArgument, "BODY_TOO_LARGE",
			"the body must have at most %d bytes", tooLarge.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return withStatus(http.StatusRequestTimeout, fault.New(codes.DeadlineExceeded, "BODY_TIMEOUT", "the body took too long"))
	default:
		return fault.New(codes.InvalidArgument, "BODY_UNREADABLE", "the body could not be read: %w", err)
	}
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)

	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// decodeJSON reads a message from JSON. An empty body is an empty object; unknown fields are refused, and enums may be
// written short: "approve" for "DECISION_APPROVE".
func decodeJSON(data []byte, into proto.Message) error {
	if len(data) == 0 {
		return nil
	}

	if protojson.Unmarshal(data, into) == nil {
		return nil
	}

	proto.Reset(into)

	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return malformed(data, err)
	}

	if object == nil {
		return fault.New(codes.InvalidArgument, "MALFORMED_JSON", "the body must be a JSON object, not null")
	}

	violations := checkFields(object, into)
	if len(violations) > 0 {
		return fault.Invalid(violations...)
	}

	long, err := json.Marshal(object)
	if err == nil {
		err = protojson.Unmarshal(long, into)
	}

	if err != nil { // such as the same field under both of its names
		return fault.New(codes.InvalidArgument, "MALFORMED_JSON", "the body does not fit: %w", err)
	}

	return nil
}

// checkFields writes short enums out, and says what is wrong with each field.
func checkFields(object map[string]json.RawMessage, message proto.Message) []fault.Violation {
	var violations []fault.Violation

	fields := message.ProtoReflect().Descriptor().Fields()

	for _, name := range slices.Sorted(maps.Keys(object)) {
		field := fields.ByJSONName(name)
		if field == nil {
			field = fields.ByName(protoreflect.Name(name))
		}

		if field == nil {
			violations = append(violations, fault.Violation{Field: name, Message: "unknown field; allowed are " + fieldNames(fields)})

			continue
		}

		if field.Kind() == protoreflect.EnumKind {
			object[name] = longEnum(field.Enum(), object[name])
		}

		if !fitsField(message, name, object[name]) {
			violations = append(violations, fault.Violation{Field: name, Message: "must be " + kindName(field)})
		}
	}

	return violations
}

// fitsField tries the field alone.
func fitsField(message proto.Message, name string, value json.RawMessage) bool {
	single, err := json.Marshal(map[string]json.RawMessage{name: value})

	return err == nil && protojson.Unmarshal(single, message.ProtoReflect().New().Interface()) == nil
}

// longEnum writes a short value out: "approve" becomes "DECISION_APPROVE". Anything else is left as it is.
func longEnum(enum protoreflect.EnumDescriptor, value json.RawMessage) json.RawMessage {
	var short string
	if json.Unmarshal(value, &short) != nil {
		return value
	}

	long := enumPrefix(enum) + strings.ToUpper(strings.ReplaceAll(short, "-", "_"))
	if enum.Values().ByName(protoreflect.Name(long)) == nil {
		return value
	}

	return json.RawMessage(`"` + long + `"`)
}

// enumPrefix is what all values of an enum begin with, such as DECISION_.
func enumPrefix(enum protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
}

func fieldNames(fields protoreflect.FieldDescriptors) string {
	names := make([]string, fields.Len())
	for i := range names {
		names[i] = fields.Get(i).JSONName()
	}

	return strings.Join(names, ", ")
}

func kindName(field protoreflect.FieldDescriptor) string {
	switch field.Kind() { //nolint:exhaustive // the rest is named well enough by the default
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return "a whole number"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		return "one of " + shortValues(field.Enum())
	default:
		return fmt.Sprintf("of kind %s", field.Kind())
	}
}

func shortValues(enum protoreflect.EnumDescriptor) string {
	var names []string

	for i := 1; i < enum.Values().Len(); i++ { // the first is UNSPECIFIED
		names = append(names, strings.ToLower(strings.TrimPrefix(string(enum.Values().Get(i).Name()), enumPrefix(enum))))
	}

	return strings.Join(names, ", ")
}

func malformed(data []byte, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line, column := position(data, syntax.Offset)

		return fault.New(codes.InvalidArgument, "MALFORMED_JSON", "the body is not JSON: line %d, column %d: %w", line, column, err)
	}

	return fault.New(codes.InvalidArgument, "MALFORMED_JSON", "the body must be a JSON object")
}

// position turns a byte offset, counted from 1 behind the offending byte, into line and column.
func position(data []byte, offset int64) (line, column int) {
	before := string(data[:min(max(offset-1, 0), int64(len(data)))])

	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndex(before, "\n")
}
