package ambassador

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// stream is the client's side of a streamed answer. Chunks are held back until the first one with content: up to that
// commit point another provider may still answer, and the client sees nothing of it.
type stream struct {
	writer  http.ResponseWriter
	control *http.ResponseController
	source  source
	encoder encoder
	// held are chunks, already framed, that wait for the commit point.
	held      []byte
	limit     int
	began     bool
	committed bool
	// onCommit is called once, when the answer belongs to this provider for good.
	onCommit func()
	deadline time.Time
}

// source names who answers.
type source struct {
	provider, model string
	simulated       bool
	// ignored are fields of the request that the provider has nothing for.
	ignored []string
	// cost is what the answer cost in US dollars, as JSON; empty as long as that is not known.
	cost []byte
}

func (s source) headers(header http.Header) {
	header["Serin-Provider"] = []string{s.provider}
	header["Serin-Model"] = []string{s.model}

	if s.simulated {
		header["Serin-Simulated"] = []string{"true"}
	}

	if len(s.cost) > 0 {
		header["Serin-Cost-Usd"] = []string{string(s.cost)}
	}

	if len(s.ignored) > 0 {
		header["Serin-Ignored"] = []string{strings.Join(s.ignored, ", ")}
	}
}

// field is the value of the extra field "serin".
func (s source) field(estimated bool) []byte {
	field := append([]byte(`{"provider":`), gjson.AppendJSONString(nil, s.provider)...)

	if s.simulated {
		field = append(field, `,"simulated":true`...)
	} else {
		field = append(field, `,"simulated":false`...)
	}

	if estimated {
		field = append(field, `,"usage_estimated":true`...)
	}

	if len(s.cost) > 0 {
		field = append(append(field, `,"cost_usd":`...), s.cost...)
	}

	return append(field, '}')
}

// mark adds the extra field "serin" to an answer or to a chunk.
func (s source) mark(object []byte, estimated bool) []byte {
	if gjson.GetBytes(object, "serin").Exists() { // another ambassador was here: it knows more
		return object
	}

	return withField(object, "serin", s.field(estimated))
}

// send passes one chunk on, or holds it until there is content.
func (s *stream) send(data []byte, content bool) error {
	if !s.began {
		s.began = true
		data = s.source.mark(data, false)
	}

	encoded, err := s.encoder.chunk(s.room(), data)
	if err != nil {
		return &failure{class: classMalformed, message: err.Error()}
	}

	return s.put(encoded, content)
}

// pass passes a provider's own event on, or holds it until there is content.
func (s *stream) pass(event event, content bool) error {
	return s.put(appendEvent(s.room(), event.name, event.data), content)
}

// room is what the next encoding is added to.
func (s *stream) room() []byte {
	if s.committed {
		return s.held[:0]
	}

	return s.held
}

// put writes what was encoded, or holds it until there is content.
func (s *stream) put(encoded []byte, content bool) error {
	s.held = encoded

	if s.committed {
		_, err := s.writer.Write(s.held)

		return err //nolint:wrapcheck // only ever means that the client is gone
	}

	if content || len(s.held) > s.limit {
		return s.commit()
	}

	return nil
}

var (
	dataPrefix = []byte("data: ")
	lineEnd    = []byte("\n")
	frameEnd   = []byte("\n\n")
	doneFrame  = []byte("data: [DONE]\n\n")
)

// appendFrame writes one event. Each line of its data needs its own prefix, but JSON on one line is the rule.
func appendFrame(buffer, data []byte) []byte {
	for {
		line, rest, more := bytes.Cut(data, lineEnd)
		buffer = append(append(buffer, dataPrefix...), line...)

		if !more {
			return append(buffer, frameEnd...)
		}

		buffer, data = append(buffer, '\n'), rest
	}
}

func (s *stream) commit() error {
	s.committed = true
	s.onCommit()

	header := s.writer.Header()
	header["Content-Type"] = []string{"text/event-stream"}
	header["Cache-Control"] = []string{"no-cache"}
	header["X-Accel-Buffering"] = []string{"no"}
	s.source.headers(header)

	// A client that stops reading must not keep the provider's slot beyond the request's deadline.
	_ = s.control.SetWriteDeadline(s.deadline) // not every writer has one

	s.writer.WriteHeader(http.StatusOK)
	_, err := s.writer.Write(s.held)

	return err //nolint:wrapcheck // only ever means that the client is gone
}

func (s *stream) flush() error {
	if !s.committed {
		return nil
	}

	return s.control.Flush() //nolint:wrapcheck // only ever means that the client is gone
}

// relay passes a provider's stream on to the client until its end. The tally says how far it came, whatever the result.
func (t *try) relay(body io.Reader, out *stream, sum *tally) *failure {
	events := newEventReader(body, t.service.cfg.MaxAnswerBytes)
	defer events.close()

	translator := t.target.provider.dialect.stream()

	for {
		event, err := events.next()
		if err != nil {
			return t.broken(err)
		}

		chunks, done, err := translator.translate(event)
		t.seen = translator.seen()

		if err != nil {
			return &failure{class: classMalformed, message: err.Error()}
		}

		if event.name == "error" && len(chunks) > 0 {
			return classifyObject(event.data, nil, time.Now())
		}

		if failed := t.passAll(event, chunks, done, out, sum); failed != nil {
			return failed
		}

		if done {
			return t.finish(out, sum)
		}

		if events.idle() && out.flush() != nil {
			return clientGone()
		}
	}
}

// passAll judges the chunks of one event and sends them, or the event itself to a client of the provider's own API.
func (t *try) passAll(event event, chunks [][]byte, done bool, out *stream, sum *tally) *failure {
	native := t.chat.door.native(t.target.provider.dialect)
	content := false

	for _, data := range chunks {
		found, failed := t.judgeChunk(data, sum)
		if failed == nil && !native {
			failed = t.pass(data, found, out, sum)
		}

		if failed != nil {
			return failed
		}

		content = content || found.content
	}

	if !native || done && !sum.complete() { // finish says what is wrong
		return nil
	}

	if event.name == "message_delta" { // it tells the usage, and so the cost
		event.data = t.billed(t.seen).mark(event.data, false)
	}

	return t.sent(out.pass(event, content), out)
}

func (t *try) judgeChunk(data []byte, sum *tally) (chunk, *failure) {
	found := sum.read(data)

	switch {
	case !found.valid:
		return found, &failure{class: classMalformed, message: "the provider's stream has a chunk that is not a JSON object"}
	case found.failed:
		return found, classifyObject(data, nil, time.Now())
	default:
		return found, nil
	}
}

// pass sends one chunk.
func (t *try) pass(data []byte, found chunk, out *stream, sum *tally) *failure {
	if found.only && !t.chat.usage {
		return nil // asked for by the ambassador, not by the client
	}

	if found.usage != nil && t.chat.usage { // the chunk that tells the usage tells the cost, too
		data = t.billed(sum.usage).mark(data, false)
	}

	return t.sent(out.send(data, found.content), out)
}

// sent says what became of sending, and begins to wait for the next chunk.
func (t *try) sent(err error, out *stream) *failure {
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed
	}

	if err != nil {
		return clientGone()
	}

	if out.committed {
		t.dog.expect(errLateChunk, t.service.cfg.Deadlines.Idle)
	}

	return nil
}

// finish ends a stream that the provider ended: only a finished answer ends with [DONE].
func (t *try) finish(out *stream, sum *tally) *failure {
	if !sum.complete() {
		return &failure{class: classCut, message: "the provider ended the stream without finishing its answer"}
	}

	if t.chat.door.native(t.target.provider.dialect) { // the provider's own end has passed
		if out.flush() != nil {
			return clientGone()
		}

		return nil
	}

	if t.chat.usage && !sum.usage.known {
		if out.send(t.usageChunk(sum), false) != nil {
			return clientGone()
		}
	}

	_, err := out.writer.Write(out.encoder.done(nil))
	if err != nil || out.flush() != nil {
		return clientGone()
	}

	return nil
}

// usageChunk is the last chunk where the provider sent none: estimated, and marked so.
func (t *try) usageChunk(sum *tally) []byte {
	data := []byte(`{"object":"chat.completion.chunk","choices":[]}`)
	used := estimate(len(t.chat.body), sum.produced)

	for _, field := range []struct{ name, raw string }{
		{"id", sum.id}, {"created", sum.created}, {"model", sum.model}, {"usage", string(used.raw())},
	} {
		if field.raw != "" {
			data = withField(data, field.name, []byte(field.raw))
		}
	}

	return t.billed(used).mark(data, true)
}

// broken says why reading from the provider ended early.
func (t *try) broken(err error) *failure {
	switch {
	case t.ctx.Err() != nil:
		return causeOf(t.ctx)
	case errors.Is(err, errEventTooLong):
		return &failure{class: classMalformed, message: err.Error()}
	default:
		return &failure{class: classCut, message: "the provider's answer broke off"}
	}
}

func clientGone() *failure { return &failure{class: classCancelled, message: "the client went away"} }
