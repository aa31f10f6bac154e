package conformance_test

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// routed is a VirtualService with these routes, each in YAML's flow style.
func routed(list ...string) string {
	return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: conform}
spec:
  hosts: [` + host + `]
  http:
  - ` + strings.Join(list, "\n  - ") + "\n"
}

// to is a route to a subset; more is what else it says, such as a match.
func to(subset string, more ...string) string {
	return "{" + strings.Join(append(more, "route: [{destination: {host: "+host+", subset: "+subset+"}}]"), ", ") + "}"
}

// match is what a route says about calls.
func match(alternatives ...string) string { return "match: [" + strings.Join(alternatives, ", ") + "]" }

func routes() []conformance {
	lands := func(expected map[string]headers) func(*world) error {
		return func(w *world) error {
			for revision, with := range expected {
				if err := w.lands(with, revision); err != nil {
					return err
				}
			}

			return nil
		}
	}

	return []conformance{
		{
			area: "routes", name: "header exact", objects: routed(to("b", match("{headers: {x-key: {exact: one}}}")), to("a")),
			check: lands(map[string]headers{"b": {"x-key": "one"}, "a": {"x-key": "one more"}}),
		},
		{
			area: "routes", name: "header prefix", objects: routed(to("b", match("{headers: {x-key: {prefix: 'on'}}}")), to("a")),
			check: lands(map[string]headers{"b": {"x-key": "one"}, "a": {"x-key": "no"}}),
		},
		{
			area: "routes", name: "header regex, of the whole value", objects: routed(to("b", match("{headers: {x-key: {regex: 'o[a-n]e'}}}")), to("a")),
			check: lands(map[string]headers{"b": {"x-key": "one"}, "a": {"x-key": "ones"}}),
		},
		{
			area: "routes", name: "header present", objects: routed(to("b", match("{headers: {x-key: {}}}")), to("a")),
			check: lands(map[string]headers{"b": {"x-key": "any"}, "a": {"x-other": "any"}}),
		},
		{
			area: "routes", name: "two headers at once (AND)",
			objects: routed(to("b", match("{headers: {x-key: {exact: one}, x-other: {exact: two}}}")), to("a")),
			check:   lands(map[string]headers{"b": {"x-key": "one", "x-other": "two"}, "a": {"x-key": "one"}}),
		},
		{
			area: "routes", name: "one of two matches (OR)",
			objects: routed(to("b", match("{headers: {x-key: {exact: one}}}", "{headers: {x-other: {exact: two}}}")), to("a")),
			check: func(w *world) error {
				return cmp.Or(w.lands(headers{"x-key": "one"}, "b"), w.lands(headers{"x-other": "two"}, "b"), w.lands(nil, "a"))
			},
		},
		{
			area: "routes", name: "the first that matches", objects: routed(
				to("b", match("{headers: {x-key: {prefix: o}}}")), to("a", match("{headers: {x-key: {exact: one}}}")), to("a")),
			check: lands(map[string]headers{"b": {"x-key": "one"}, "a": {"x-key": "two"}}),
		},
		{area: "routes", name: "method, by uri exact", objects: routed(to("b", match("{uri: {exact: /conform.Echo/Other}}")), to("a")), check: otherMethod},
		{area: "routes", name: "method, by uri prefix", objects: routed(to("b", match("{uri: {prefix: /conform.Echo/O}}")), to("a")), check: otherMethod},
		{area: "routes", name: "method, by uri regex", objects: routed(to("b", match("{uri: {regex: '.*/Oth.*'}}")), to("a")), check: otherMethod},
		{
			area: "routes", name: "sourceLabels", objects: routed(to("b", match("{sourceLabels: {app: stranger}}")), to("a")), check: sourceLabels,
			unless: "on one machine all clients get the same routes",
		},
	}
}

func otherMethod(w *world) error {
	return cmp.Or(w.all("caller", orders.Calls{Method: "Other"}, "OK from b"), w.lands(nil, "a"))
}

func sourceLabels(w *world) error {
	return cmp.Or(w.all("stranger", orders.Calls{}, "OK from b"), w.lands(nil, "a"))
}

// failures are timeouts, retries and injected faults.
func failures() []conformance {
	return []conformance{
		{area: "failures", name: "timeout", objects: routed(to("b", "timeout: 300ms")), check: timesOut},
		{area: "failures", name: "no retries (attempts: 0)", objects: routed(to("b", "retries: {attempts: 0}")), check: attempts(1)},
		{area: "failures", name: "retries as Istio has them by default", objects: routed(to("b")), check: attempts(3)},
		{area: "failures", name: "retries: 1", objects: routed(to("b", "retries: {attempts: 1, retryOn: unavailable, backoff: 10ms}")), check: attempts(2)},
		{area: "failures", name: "retries: 3", objects: routed(to("b", "retries: {attempts: 3, retryOn: unavailable, backoff: 10ms}")), check: attempts(4)},
		{area: "failures", name: "retries that succeed", objects: routed(to("b", "retries: {attempts: 3, retryOn: unavailable, backoff: 10ms}")), check: retried},
		{area: "failures", name: "no retry on another code", objects: routed(to("b", "retries: {attempts: 3, retryOn: internal, backoff: 10ms}")), check: attempts(1)},
		{
			area: "failures", name: "fault: all calls aborted",
			objects: routed(to("b", "fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}", "retries: {attempts: 0}")),
			check:   func(w *world) error { return w.fails(nil, "ResourceExhausted") },
		},
		{
			area: "failures", name: "fault: 40% of calls aborted",
			objects: routed(to("b", "fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 40}}}", "retries: {attempts: 0}")),
			check:   func(w *world) error { return w.shared(1000, 40, "ResourceExhausted") },
		},
		{area: "failures", name: "fault: all calls delayed", objects: routed(to("b", "fault: {delay: {fixedDelay: 0.3s, percentage: {value: 100}}}")), check: delayed},
	}
}

func timesOut(w *world) error {
	return w.eventually(func() error {
		answers, err := w.calls("caller", orders.Calls{Headers: headers{orders.HeaderWait: "1"}, Timeout: 3 * time.Second})
		if err != nil {
			return err
		}

		if one := answers[0]; one.Code != "DeadlineExceeded" || one.Took.Milliseconds() < 300 || one.Took > 2*time.Second {
			return fmt.Errorf("it came to %s after %s", one.Code, one.Took)
		}

		return nil
	})
}

// attempts wants that a call which the server always fails comes so many times.
func attempts(want int) func(*world) error {
	return func(w *world) error {
		if err := w.lands(nil, "b"); err != nil {
			return err
		}

		return w.eventually(func() error {
			came, answer, err := w.counted("b1", 100, nil)
			if err == nil && (came != want || answer.Code != "Unavailable") {
				err = fmt.Errorf("it came %d times, want %d, and ended with %s", came, want, answer.Code)
			}

			return err
		})
	}
}

func retried(w *world) error {
	if err := w.lands(nil, "b"); err != nil {
		return err
	}

	return w.eventually(func() error {
		came, answer, err := w.counted("b1", 2, nil)
		if err == nil && (came != 3 || answer.Code != "OK") {
			err = fmt.Errorf("it came %d times, want 3, and ended with %s", came, answer.Code)
		}

		return err
	})
}

func delayed(w *world) error {
	return w.eventually(func() error {
		answers, err := w.calls("caller", orders.Calls{})
		if err == nil && (answers[0].Code != "OK" || answers[0].Took.Milliseconds() < 300) {
			err = fmt.Errorf("it came to %s after %s", answers[0].Code, answers[0].Took)
		}

		return err
	})
}
