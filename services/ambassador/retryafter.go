package ambassador

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter keeps a wrong header from silencing a provider for good.
const maxRetryAfter = time.Hour

// retryAfter reads retry-after-ms and Retry-After, in seconds or as an HTTP date; 0 if there is none or it is past.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if millis, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		return bounded(millis * float64(time.Millisecond))
	}

	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return bounded(seconds * float64(time.Second))
	}

	if date, err := http.ParseTime(text); err == nil {
		return bounded(float64(date.Sub(now)))
	}

	return 0
}

func bounded(nanos float64) time.Duration {
	switch {
	case !(nanos > 0): // also NaN
		return 0
	case nanos > float64(maxRetryAfter):
		return maxRetryAfter
	default:
		return time.Duration(nanos)
	}
}

// retrySeconds rounds up to the whole seconds of a Retry-After header; at least 1.
func retrySeconds(wait time.Duration) string {
	return strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10)
}

// backoff is the wait before try number try (from 0): base doubling up to longest, half of it jitter by draw from
// [0, 1), and never shorter than the provider asked.
func backoff(try int, base, longest, asked time.Duration, draw float64) time.Duration {
	wait := min(base<<min(try, 16), longest)
	wait = wait/2 + time.Duration(float64(wait/2)*draw)

	return max(wait, asked)
}
