package ambassador

import (
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// class is what kind of failure an upstream had; it decides what happens next and is the metric's outcome.
type class string

const (
	classRateLimit   class = "rate_limit"
	classQuota       class = "quota"
	classOverloaded  class = "overloaded"
	classServer      class = "server_error"
	classConnect     class = "connect"
	classTimeout     class = "timeout"
	classCut         class = "cut_stream"
	classMalformed   class = "malformed"
	classCredential  class = "credential"
	classRegion      class = "region"
	classModel       class = "model_not_found"
	classContext     class = "context_length"
	classInvalid     class = "invalid_request"
	classUnsupported class = "unsupported"
	classQueueFull   class = "queue_full"
	classCooling     class = "cooling"
	classBroken      class = "circuit_open"
	classCancelled   class = "cancelled"
)

// scope is how much of a provider rests after a failure.
type scope int

const (
	scopeNone     scope = iota
	scopeModel          // the key, for this model
	scopeKey            // the key, for all models
	scopeProvider       // all keys, for this model
)

// handling is what follows from a class.
type handling struct {
	// retry: the same provider and model may well answer in a moment.
	retry bool
	// walk: another key of the provider may answer at once.
	walk bool
	// fallback: another provider or model may answer.
	fallback bool
	// cool: what rests meanwhile.
	cool scope
	// status is what the client is told.
	status int
}

func (c class) handling() handling {
	switch c {
	case classRateLimit:
		return handling{walk: true, fallback: true, cool: scopeModel, status: http.StatusTooManyRequests}
	case classQuota:
		return handling{walk: true, fallback: true, cool: scopeKey, status: http.StatusTooManyRequests}
	case classCredential:
		return handling{walk: true, fallback: true, cool: scopeKey, status: http.StatusBadGateway}
	case classOverloaded: // the provider's trouble, not the key's: walking the pool would only add to it
		return handling{retry: true, fallback: true, status: http.StatusServiceUnavailable}
	case classServer, classConnect, classCut, classMalformed:
		return handling{retry: true, fallback: true, status: http.StatusBadGateway}
	case classTimeout:
		return handling{retry: true, fallback: true, status: http.StatusGatewayTimeout}
	case classRegion:
		return handling{fallback: true, status: http.StatusBadGateway}
	case classModel:
		return handling{fallback: true, status: http.StatusNotFound}
	case classContext:
		return handling{fallback: true, status: http.StatusBadRequest}
	case classBroken:
		return handling{fallback: true, status: http.StatusServiceUnavailable}
	case classUnsupported: // another provider's API may be able to express it
		return handling{fallback: true, status: http.StatusBadRequest}
	case classQueueFull, classCooling:
		return handling{fallback: true, status: http.StatusTooManyRequests}
	case classInvalid:
		return handling{status: http.StatusBadRequest}
	case classCancelled:
		return handling{status: statusClientClosedRequest}
	default:
		return handling{status: http.StatusBadGateway}
	}
}

// failure is why a try did not answer.
type failure struct {
	class    class
	provider string
	// status is the upstream's, 0 if there was none.
	status     int
	retryAfter time.Duration
	message    string
	// body is the upstream's own error object, told to the client where the mistake is the client's.
	body []byte
	// committed: the client already has a part of the answer.
	committed bool
}

// Error returns the message.
func (f *failure) Error() string { return f.message }

// final reports whether no other provider may try.
func (f *failure) final() bool { return f.committed || !f.class.handling().fallback }

const statusOverloaded = 529

// classify reads an upstream's error answer.
func classify(status int, header http.Header, body []byte, now time.Time) *failure {
	failed := &failure{status: status, retryAfter: retryAfter(header, now), message: errorMessage(body)}

	object := errorObject(body)
	if object.IsObject() {
		failed.body = body
	}

	words := strings.ToLower(object.Get("code").String() + " " + object.Get("type").String() + " " + failed.message)
	failed.class = classOf(status, words)

	if failed.message == "" {
		failed.message = "status " + http.StatusText(status)
	}

	return failed
}

// classOf decides by the status and the words of an error: quota before rate limit, since both are 429.
func classOf(status int, words string) class { //nolint:cyclop // a table, read from the top
	switch {
	case status == http.StatusPaymentRequired, status == http.StatusTooManyRequests && about(words, quotaWords):
		return classQuota
	case status == http.StatusTooManyRequests:
		return classRateLimit
	case status == http.StatusUnauthorized:
		return classCredential
	case status == http.StatusForbidden && about(words, regionWords):
		return classRegion
	case status == http.StatusForbidden:
		return classCredential
	case status == http.StatusNotFound && strings.Contains(words, "model"):
		return classModel
	case status == http.StatusBadRequest && about(words, contextWords):
		return classContext
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return classTimeout
	case status == http.StatusServiceUnavailable, status == statusOverloaded:
		return classOverloaded
	case status >= http.StatusInternalServerError && strings.Contains(words, "overloaded"):
		return classOverloaded
	case status >= http.StatusInternalServerError:
		return classServer
	case status < http.StatusBadRequest:
		return classMalformed
	default:
		return classInvalid
	}
}

var (
	quotaWords   = []string{"insufficient_quota", "quota", "billing", "credit"}
	regionWords  = []string{"unsupported_country", "region", "territory"}
	contextWords = []string{"context_length", "context length", "context window", "prompt is too long", "too many tokens"}
)

func about(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}

	return false
}

// classifyObject reads an error object that came with status 200, in a stream or instead of an answer. Some providers
// put the HTTP status into the code.
func classifyObject(body []byte, header http.Header, now time.Time) *failure {
	object := errorObject(body)
	words := strings.ToLower(object.Get("code").String() + " " + object.Get("type").String())
	status := int(object.Get("code").Int())

	switch {
	case status >= http.StatusBadRequest:
	case about(words, quotaWords), strings.Contains(words, "rate_limit"):
		status = http.StatusTooManyRequests
	case strings.Contains(words, "overloaded"):
		status = statusOverloaded
	case strings.Contains(words, "authentication"), strings.Contains(words, "invalid_api_key"):
		status = http.StatusUnauthorized
	case strings.Contains(words, "permission"):
		status = http.StatusForbidden
	case strings.Contains(words, "not_found"):
		status = http.StatusNotFound
	case strings.Contains(words, "too_large"):
		status = http.StatusRequestEntityTooLarge
	case strings.Contains(words, "timeout"):
		status = http.StatusGatewayTimeout
	case strings.Contains(words, "invalid_request"), about(words, contextWords):
		status = http.StatusBadRequest
	default:
		status = http.StatusInternalServerError
	}

	return classify(status, header, body, now)
}

// errorObject finds {"error": {...}}, or an error that is the whole body.
func errorObject(body []byte) gjson.Result {
	if !gjson.ValidBytes(body) {
		return gjson.Result{}
	}

	if object := gjson.GetBytes(body, "error"); object.Exists() {
		return object
	}

	return gjson.ParseBytes(body)
}

// errorMessage finds the text of an error, whatever its shape.
func errorMessage(body []byte) string {
	object := errorObject(body)
	if object.Type == gjson.String {
		return object.String()
	}

	return object.Get("message").String()
}
