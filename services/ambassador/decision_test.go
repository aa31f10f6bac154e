package ambassador

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tidwall/gjson"
)

func TestClasses(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   class
	}{
		{429, `{"error":{"code":"insufficient_quota"}}`, classQuota}, // before rate limit: both are 429
		{402, ``, classQuota},
		{429, `{"error":{"type":"requests","code":"rate_limit_exceeded"}}`, classRateLimit},
		{429, `<html>`, classRateLimit},
		{401, ``, classCredential},
		{403, `{"error":{"message":"Country, region, or territory not supported"}}`, classRegion},
		{403, `{"error":{"message":"no access"}}`, classCredential},
		{404, `{"error":{"message":"The model x does not exist","code":"model_not_found"}}`, classModel},
		{404, `{"error":"model \"x\" not found, try pulling it first"}`, classModel},
		{404, `not found`, classInvalid},
		{400, `{"error":{"message":"This model's maximum context length is 8192 tokens"}}`, classContext},
		{400, `{"object":"error","message":"prompt is too long","code":400}`, classContext},
		{400, `{"error":{"message":"bad temperature"}}`, classInvalid},
		{422, ``, classInvalid},
		{408, ``, classTimeout},
		{500, ``, classServer},
		{500, `{"error":{"type":"overloaded_error"}}`, classOverloaded},
		{502, ``, classServer},
		{503, ``, classOverloaded},
		{504, ``, classTimeout},
		{529, ``, classOverloaded},
		{302, ``, classMalformed},
	} {
		if got := classify(test.status, http.Header{}, []byte(test.body), time.Now()); got.class != test.want {
			t.Errorf("%d %s: got %s, want %s", test.status, test.body, got.class, test.want)
		}
	}

	for body, want := range map[string]class{
		`{"error":{"code":429,"message":"x"}}`:         classRateLimit,
		`{"error":{"type":"overloaded_error"}}`:        classOverloaded,
		`{"error":{"code":"rate_limit_exceeded"}}`:     classRateLimit,
		`{"error":{"code":"insufficient_quota"}}`:      classQuota,
		`{"error":{"type":"invalid_request_error"}}`:   classInvalid,
		`{"error":{"code":"context_length_exceeded"}}`: classContext,
		`{"error":"something"}`:                        classServer,
		`{"error":{"type":"authentication_error"}}`:    classCredential,
		`{"error":{"code":"model_not_found"}}`:         classModel,
	} {
		if got := classifyObject([]byte(body), nil, time.Now()); got.class != want {
			t.Errorf("%s: got %s, want %s", body, got.class, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

	for text, want := range map[string]time.Duration{
		"2": 2 * time.Second, "0.5": time.Second / 2, "": 0, "x": 0, "-1": 0, "NaN": 0, "1e99": time.Hour,
		"Mon, 23 Nov 2026 10:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}

	if got := retryAfter(http.Header{"Retry-After-Ms": {"250"}, "Retry-After": {"1"}}, now); got != 250*time.Millisecond {
		t.Errorf("got %s", got)
	}
}

func TestBackoff(t *testing.T) {
	const base, longest = 100 * time.Millisecond, time.Second

	for try, want := range []int{75, 150, 300, 600, 750, 750} {
		if got := backoff(try, base, longest, 0, 0.5); got != time.Duration(want)*time.Millisecond {
			t.Errorf("%d: got %s", try, got)
		}
	}

	if got := backoff(0, base, longest, 5*time.Second, 0); got != 5*time.Second {
		t.Errorf("a Retry-After is cut short: %s", got)
	}
}

func TestCooldowns(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	rests := newCooldowns()
	rests.now = func() time.Time { return now }
	enter := func(key, model string) (*permit, time.Duration) { return rests.enter("p", key, model) }

	first, _ := enter("a", "m")
	second, _ := enter("a", "m")
	first.cool(scopeModel, time.Minute)
	second.cool(scopeModel, time.Second) // re-cooling must not shorten a rest

	if _, wait := enter("a", "m"); wait != time.Minute {
		t.Errorf("got %s", wait)
	}

	if other, _ := enter("a", "n"); other == nil {
		t.Error("another model rests too")
	}

	now = now.Add(time.Minute)

	probe, _ := enter("a", "m")
	if _, wait := enter("a", "m"); probe == nil || wait != probeWait {
		t.Errorf("more than one request probes: %s", wait)
	}

	probe.release()
	probe.cool(scopeModel, time.Hour) // a permit counts once

	probe, _ = enter("a", "m")
	probe.ok()

	for range 2 {
		if free, _ := enter("a", "m"); free == nil {
			t.Error("still rests after a success")
		}
	}

	key, _ := enter("a", "m")
	key.cool(scopeKey, 0)

	if _, wait := enter("a", "other"); wait != coolKey {
		t.Errorf("the key rests for %s", wait)
	}

	all, _ := enter("b", "m")
	all.cool(scopeProvider, 3*time.Second)

	if _, wait := enter("c", "m"); wait != 3*time.Second {
		t.Errorf("another key: %s", wait)
	}
}

func TestCooldownsDoubleWithoutRetryAfter(t *testing.T) {
	now := time.Now()
	rests := newCooldowns()
	rests.now = func() time.Time { return now }

	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		permit, _ := rests.enter("p", "k", "m")
		permit.cool(scopeModel, 0)

		_, wait := rests.enter("p", "k", "m")
		if wait != time.Duration(want)*time.Second {
			t.Errorf("got %s, want %ds", wait, want)
		}

		now = now.Add(wait)
	}
}

func TestCooldownsForgetOldModels(t *testing.T) {
	now := time.Now()
	rests := newCooldowns()
	rests.now = func() time.Time { return now }

	for i := range 5 * cooldownLimit {
		permit, _ := rests.enter("p", "k", strings.Repeat("m", i))
		permit.cool(scopeModel, time.Second)

		now = now.Add(time.Second)
	}

	if len(rests.entries) > cooldownLimit {
		t.Errorf("%d entries", len(rests.entries))
	}
}

func TestEventReader(t *testing.T) {
	const input = "\xef\xbb\xbf: comment\n\ndata: one\r\n\r\nevent: error\ndata:two\ndata: three\nid: 5\n\nevent: lost\n\ndata\n\ndata: last"

	want := []event{{"", []byte("one")}, {"error", []byte("two\nthree")}, {"", []byte{}}, {"", []byte("last")}}

	reader := newEventReader(iotest.OneByteReader(strings.NewReader(input)), 100)
	defer reader.close()

	for _, each := range want {
		got, err := reader.next()
		if err != nil || got.name != each.name || !bytes.Equal(got.data, each.data) {
			t.Errorf("got %q %q, %v, want %q", got.name, got.data, err, each.data)
		}
	}

	if _, err := reader.next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}

	for _, long := range []string{"data: " + strings.Repeat("x", 20000), strings.Repeat("data: xxxxxxxxx\n", 20)} {
		reader := newEventReader(strings.NewReader(long), 100)
		if _, err := reader.next(); !errors.Is(err, errEventTooLong) {
			t.Errorf("got %v", err)
		}

		reader.close()
	}
}

// FuzzEvents compares the reader with a simpler one that has the whole input.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: one\n\ndata: two\r\n\r\n: c\nevent: x\ndata: three\ndata\n\n"), 3)
	f.Add([]byte("\xef\xbb\xbfdata:x\n\nevent:e\n\ndata: y"), 1)
	f.Add([]byte("data: "+strings.Repeat("long", 5000)+"\n\n"), 1000)

	f.Fuzz(func(t *testing.T, input []byte, step int) {
		const limit = 1 << 20
		if len(input) > limit/2 {
			t.Skip("too long")
		}

		want := simpleEvents(input)
		reader := newEventReader(&stepReader{data: input, step: max(1, step%5000)}, limit)

		defer reader.close()

		for _, each := range want {
			got, err := reader.next()
			if err != nil || got.name != each.name || !bytes.Equal(got.data, each.data) {
				t.Fatalf("got %q %q, %v, want %q %q", got.name, got.data, err, each.name, each.data)
			}
		}

		if got, err := reader.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("got %q, %v at the end", got.data, err)
		}
	})
}

type stepReader struct {
	data []byte
	step int
}

func (r *stepReader) Read(into []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}

	n := copy(into[:min(len(into), r.step)], r.data)
	r.data = r.data[n:]

	return n, nil
}

func simpleEvents(input []byte) []event {
	found := []event{}
	name, lines := "", [][]byte(nil)
	all := bytes.Split(bytes.TrimPrefix(input, []byte("\xef\xbb\xbf")), []byte("\n"))

	for at, line := range all {
		if at < len(all)-1 {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}

		if len(line) == 0 {
			if at == len(all)-1 {
				break
			}

			if lines != nil {
				found = append(found, event{name, bytes.Join(lines, []byte("\n"))})
			}

			name, lines = "", nil

			continue
		}

		field, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")

		switch field {
		case "event":
			name = value
		case "data":
			lines = append(lines, []byte(value))
		}
	}

	if lines != nil {
		found = append(found, event{name, bytes.Join(lines, []byte("\n"))})
	}

	return found
}

// FuzzChunk checks that whatever a provider sends, what goes on is one JSON object in one event.
func FuzzChunk(f *testing.F) {
	f.Add([]byte(`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}`))
	f.Add([]byte("{\n\"choices\":[],\n\"usage\":{}}"))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"error":null,"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]} `))

	f.Fuzz(func(t *testing.T, data []byte) {
		sum := &tally{}
		if !sum.read(data).valid {
			return
		}

		marked := source{provider: "p\"q"}.mark(data, true)
		if !gjson.ValidBytes(marked) || !gjson.GetBytes(marked, "serin").Exists() {
			t.Fatalf("%q became %q", data, marked)
		}

		framed := newEventReader(bytes.NewReader(appendFrame(nil, marked)), 1<<20)
		defer framed.close()

		got, err := framed.next()
		if err != nil || !gjson.ValidBytes(got.data) {
			t.Fatalf("%q arrives as %q, %v", marked, got.data, err)
		}

		if rest, err := framed.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("one chunk became two events: %q", rest.data)
		}
	})
}

// FuzzRequest checks that an accepted request stays valid JSON on its way to the provider.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"model":"default","models":["a","b"],"messages":[{}],"stream":true,"stream_options":null}`))
	f.Add([]byte(`{"messages":[1],"stream":true,"stream_options":5,"model":null}`))
	f.Add([]byte(`{"messages":[1],"stream":true,"stream_options":{"include_usage":null},"models":[]}`))
	f.Add([]byte(`{"messages":[1],"model":"a","mod\u0065l":"b"}`))
	f.Add([]byte(`{"messages":[1],"stream":true,"str\u0065am_options":{}}`))

	f.Fuzz(func(t *testing.T, body []byte) {
		chat, refused := readChat(body)
		if refused != nil {
			return
		}

		upstream, err := chat.upstream("some \"model\"")
		if err != nil {
			return // told to the client
		}

		if !gjson.ValidBytes(upstream) || gjson.GetBytes(upstream, "model").String() != "some \"model\"" {
			t.Fatalf("%q became %q", body, upstream)
		}

		again, refused := readChat(upstream)
		if refused != nil || again.stream && !again.usage || len(again.models) != 1 {
			t.Fatalf("%q became %q: %v", body, upstream, refused)
		}
	})
}
