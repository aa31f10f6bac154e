package ambassador

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

const (
	// maxErrorBytes is how much of an error answer is read.
	maxErrorBytes = 64 << 10
	// afterDone is how long a finished stream may take to close, so that its connection can be used again.
	afterDone = 50 * time.Millisecond
)

// target is one provider and the model to ask it for.
type target struct {
	provider *provider
	model    string
}

// try is one request to one provider with one key.
type try struct {
	service *Service
	chat    *chatRequest
	target  target
	key     string
	number  int
	permit  *permit
	writer  http.ResponseWriter

	ctx       context.Context
	dog       *watchdog
	simulated bool
	ignored   []string
	used      usage
	// seen is what the provider said about the usage of a stream that may have broken off.
	seen usage
	// produced are the bytes of content that arrived.
	produced int
}

// billed is the source with the cost of its answer.
func (t *try) billed(used usage) source {
	made := t.source()
	if cost, priced := t.cost(used); priced {
		made.cost = strconv.AppendFloat(nil, cost, 'f', -1, 64)
	}

	return made
}

func (t *try) source() source {
	return source{provider: t.target.provider.Name, model: t.target.model, simulated: t.simulated, ignored: t.ignored}
}

// run asks the provider and passes its answer on. It settles the permit.
func (t *try) run(ctx context.Context) (failed *failure) {
	defer t.permit.release()

	ctx, span := t.beginTry(ctx)
	began := time.Now()
	failed = t.target.provider.queue.enter(ctx)
	waited := time.Since(began)

	defer func() { endTry(span, failed, waited) }()

	t.service.metrics.waited(ctx, t.target.provider.Name, waited)

	if failed != nil {
		return failed
	}

	defer t.target.provider.queue.leave()

	failed = t.ask(ctx)
	t.settle(ctx, failed)

	return failed
}

func (t *try) settle(ctx context.Context, failed *failure) {
	if failed == nil {
		t.succeeded()
	} else if cool := failed.class.handling().cool; cool != scopeNone {
		t.permit.cool(cool, failed.retryAfter)
	} else if failed.retryAfter > 0 && failed.class.handling().retry {
		t.permit.cool(scopeProvider, failed.retryAfter)
	} else if failed.class.handling().retry {
		t.permit.fail(t.service.cfg.BreakAfter)
	}

	spent := t.spent(failed)
	cost, _ := t.cost(spent)
	t.service.metrics.tried(ctx, t.target, failed, spent, cost)
}

// cost is what a usage costs, in US dollars; false if the model has no price.
func (t *try) cost(used usage) (float64, bool) {
	known, priced := t.service.prices.find(t.ctx, t.target.provider.Name, t.target.model)
	if !priced {
		return 0, false
	}

	return known.cost(used), true
}

// succeeded is called at the commit point: the key works, whatever becomes of the rest.
func (t *try) succeeded() {
	t.permit.ok()
	t.target.provider.answered()
}

// spent is what the provider bills: what it said, else an estimate of what arrived; nothing for a try without content.
func (t *try) spent(failed *failure) usage {
	if t.used.known || failed != nil && t.produced == 0 {
		return t.used
	}

	guess := estimate(len(t.chat.body), t.produced)
	if t.seen.known {
		t.seen.completion = max(t.seen.completion, guess.completion)

		return t.seen
	}

	return guess
}

// ask sends the request and reads the answer under the watchdog.
func (t *try) ask(ctx context.Context) *failure {
	limits := t.service.cfg.Deadlines

	phase, limit := errLateHeaders, limits.Headers
	if !t.chat.stream { // headers come with the whole answer
		phase, limit = errLateAnswer, limits.Total
	}

	t.ctx, t.dog = watch(ctx, phase, limit)
	defer t.dog.stop()

	provider := t.target.provider

	request, err := provider.dialect.request(t.ctx, outgoing{ //nolint:contextcheck // watch made it from ctx
		chat: t.chat, baseURL: provider.BaseURL, model: t.target.model, key: t.key, number: t.number,
	})
	if err != nil {
		return unsent(err)
	}

	response, err := provider.transport.RoundTrip(request)
	if err != nil {
		return t.unreached(err)
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written to it

	if response.StatusCode != http.StatusOK {
		// An error's body that breaks off still has its status.
		body, _ := readAll(io.LimitReader(response.Body, maxErrorBytes), -1)

		return provider.dialect.failure(response.StatusCode, response.Header, body, time.Now())
	}

	t.simulated = provider.Kind == KindSimulated || response.Header.Get("Serin-Simulated") == "true"
	t.ignored = provider.dialect.ignored(t.chat)

	if id := response.Header["X-Request-Id"]; len(id) > 0 {
		t.writer.Header()["X-Request-Id"] = id
	}

	if t.chat.stream {
		return t.streamed(response)
	}

	return t.whole(response)
}

// unsent tells why there is no request to send.
func unsent(err error) *failure {
	if refused, ok := errors.AsType[*unsupported](err); ok {
		told := badRequest(refused.field, refused.Error())

		return &failure{class: classUnsupported, message: refused.Error(), body: told.body()}
	}

	return &failure{class: classInvalid, message: err.Error()}
}

// unreached tells why there was no answer at all. Errors of the network name addresses only.
func (t *try) unreached(err error) *failure {
	if t.ctx.Err() != nil {
		return causeOf(t.ctx)
	}

	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // the transport does not wrap it
		return &failure{class: classTimeout, message: err.Error()}
	}

	return &failure{class: classConnect, message: "the provider can't be reached: " + err.Error()}
}

func (t *try) streamed(response *http.Response) *failure {
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		body, err := readAll(io.LimitReader(response.Body, maxErrorBytes), -1)
		if err == nil && gjson.GetBytes(body, "error").Exists() {
			return classifyObject(body, response.Header, time.Now())
		}

		return &failure{class: classMalformed, message: "the provider did not stream"}
	}

	deadline, _ := t.ctx.Deadline()
	out := &stream{
		writer: t.writer, control: http.NewResponseController(t.writer), source: t.source(),
		encoder: t.chat.door.stream(), limit: t.service.cfg.HoldBytes, onCommit: t.succeeded, deadline: deadline.Add(time.Second),
	}

	t.dog.expect(errLateToken, t.service.cfg.Deadlines.FirstToken)

	sum := &tally{}
	failed := t.relay(response.Body, out, sum)
	t.used, t.produced = sum.usage, sum.produced

	if failed != nil {
		failed.committed = out.committed

		return failed
	}

	// The rest is nothing but the end of the body.
	t.dog.expect(errLateChunk, afterDone)

	_, _ = io.CopyN(io.Discard, response.Body, maxErrorBytes)

	return nil
}

// whole reads an answer that is not streamed. Nothing reaches the client before it is known to be complete.
func (t *try) whole(response *http.Response) *failure {
	limit := t.service.cfg.MaxAnswerBytes

	body, err := readAll(io.LimitReader(response.Body, limit+1), response.ContentLength)
	if err != nil {
		return t.broken(err)
	}

	if int64(len(body)) > limit {
		return &failure{class: classMalformed, message: "the provider's answer is too large"}
	}

	answer, err := t.target.provider.dialect.answer(body)
	if err != nil {
		return &failure{class: classMalformed, message: err.Error()}
	}

	if failed := t.judge(answer, response.Header); failed != nil {
		return failed
	}

	told, err := t.chat.door.answer(t.complete(answer), body, t.target.provider.dialect)
	if err != nil {
		return &failure{class: classMalformed, message: err.Error()}
	}

	return t.write(told)
}

// judge refuses what is not an answer.
func (t *try) judge(answer []byte, header http.Header) *failure {
	if !gjson.ValidBytes(answer) {
		return &failure{class: classMalformed, message: "the provider's answer is not valid JSON"}
	}

	found := gjson.GetManyBytes(answer, "error", t.chat.first())

	switch {
	case found[0].Exists() && found[0].Type != gjson.Null:
		return classifyObject(answer, header, time.Now())
	case !found[1].IsObject():
		return &failure{class: classMalformed, message: "the provider's answer has no " + strings.TrimSuffix(t.chat.first(), ".0")}
	default:
		return nil
	}
}

// complete adds what is missing: the extra field "serin", and an estimated usage where the provider did not say.
func (t *try) complete(answer []byte) []byte {
	t.used = readUsage(gjson.GetBytes(answer, "usage"))
	estimated := !t.used.known

	if estimated {
		t.produced = len(gjson.GetBytes(answer, "choices").Raw)

		if counted, err := sjson.SetRawBytes(answer, "usage", estimate(len(t.chat.body), t.produced).raw()); err == nil {
			answer = counted
		}
	}

	source := t.billed(t.spent(nil))
	source.headers(t.writer.Header())

	return source.mark(answer, estimated)
}

func (t *try) write(answer []byte) *failure {
	header := t.writer.Header()
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(len(answer))}
	t.writer.WriteHeader(http.StatusOK)

	if _, err := t.writer.Write(answer); err != nil {
		return &failure{class: classCancelled, message: "the client went away", committed: true}
	}

	return nil
}
