package conformance_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// ruled is the DestinationRule of base with more in its policy, and more subsets.
func ruled(policy, subsets string) string {
	return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: conform}
spec:
  host: ` + host + `
  trafficPolicy: {` + policy + `}
  subsets: [{name: a, labels: {revision: a}}, {name: b, labels: {revision: b}}` + subsets + `]
`
}

const mutual = "tls: {mode: ISTIO_MUTUAL}"

func balancing() []conformance {
	hashed := ruled(mutual+", loadBalancer: {consistentHash: {httpHeaderName: x-user}}", "")

	return []conformance{
		{area: "balancing", name: "all servers of a subset", objects: routed(to("a")), check: func(w *world) error { return w.reaches("a1", "a2") }},
		{area: "balancing", name: "consistentHash of a header within a subset", objects: hashed + "---" + routed(to("a")), check: sticks},
		{area: "balancing", name: "http2MaxRequests", check: limited, objects: ruled(mutual+", connectionPool: {http: {http2MaxRequests: 2}}", "") +
			"---" + routed("{route: [{destination: {host: "+host+"}}], retries: {attempts: 0}}")},
		{area: "balancing", name: "a server that is not ready gets no calls, and then some again", objects: routed(to("a")), check: comesAndGoes},
		{area: "balancing", name: "a subset without servers fails its own calls only", check: func(w *world) error {
			return cmp.Or(w.fails(headers{"x-key": "one"}, "Unavailable"), w.lands(nil, "a"))
		}, objects: ruled(mutual, ", {name: none, labels: {revision: none}}") +
			"---" + routed(to("none", match("{headers: {x-key: {exact: one}}}")), to("a"))},
	}
}

// reaches wants that the caller's calls are answered by just these servers.
func (w *world) reaches(servers ...string) error {
	return w.eventually(func() error {
		answers, err := w.calls("caller", orders.Calls{Count: 40})
		if err != nil {
			return err
		}

		seen := map[string]int{}
		for _, answer := range answers {
			seen[answer.By]++
		}

		if came := slices.Sorted(maps.Keys(seen)); !slices.Equal(came, servers) {
			return fmt.Errorf("%v answered, want %v: %s", seen, servers, described(answers))
		}

		return nil
	})
}

// sticks wants that each user keeps a server, and that users are spread.
func sticks(w *world) error {
	return w.eventually(func() error {
		used := map[string]bool{}

		for user := range 24 {
			answers, err := w.calls("caller", orders.Calls{Count: 10, Headers: headers{"x-user": fmt.Sprintf("user %d", user)}})
			if err != nil {
				return err
			}

			for _, answer := range answers {
				if answer.Revision != "a" || answer.By != answers[0].By {
					return fmt.Errorf("user %d was answered by %s and %s, %s", user, answers[0].By, answer.By, described(answers))
				}
			}

			used[answers[0].By] = true
		}

		if len(used) != 2 {
			return fmt.Errorf("all users went to the same server: %v", used)
		}

		return nil
	})
}

// limited wants that of ten calls at once two wait for an answer, and the others are refused at once.
func limited(w *world) error {
	ordered := orders.Calls{Count: 10, Parallel: 10, Timeout: 700 * time.Millisecond, Headers: headers{orders.HeaderWait: "1"}}

	return w.eventually(func() error {
		answers, err := w.calls("caller", ordered)
		if sums := got(answers); err == nil && (sums["DeadlineExceeded"] != 2 || sums["Unavailable"] != 8) {
			err = fmt.Errorf("want 2 that wait and 8 refused: %s", described(answers))
		}

		return err
	})
}

func comesAndGoes(w *world) error {
	return cmp.Or(w.reaches("a1", "a2"),
		w.ready(w.ctx, "a2", false), w.reaches("a1"),
		w.ready(w.ctx, "a2", true), w.reaches("a1", "a2"))
}
