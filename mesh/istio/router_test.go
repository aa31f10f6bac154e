package istio

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

var billing = Agent{Namespace: "default", Name: "billing"}

func newRouter(t testing.TB, s *server) *Router {
	t.Helper()

	router, err := New(Config{Client: s.client(t), Propagation: Reconciled{}})
	if err != nil {
		t.Fatal(err)
	}

	return router
}

// reach applies until nothing is left to do; proxies take everything at once.
func reach(t testing.TB, s *server, router *Router, agent Agent, routing Routing) Progress {
	t.Helper()

	var last Progress

	for range 20 {
		progress, err := router.Apply(context.Background(), agent, routing)
		if err != nil {
			t.Fatal(err)
		}

		last = progress

		if progress.Done {
			return progress
		}

		s.reconcileAll()
	}

	t.Fatalf("not done after 20 rounds: %+v\n%+v\n%v\n%s", routing, last, s.writes, s.yaml())

	return Progress{}
}

func first10() Routing {
	return Routing{
		Intent: Intent{Attempt: 2, Seq: 5, Phase: "Progressing", Stable: "aaa", Candidate: "bbb", Weight: 10},
		Live:   []string{"aaa", "bbb"},
	}
}

func TestQuick(t *testing.T) {
	s := newServer()
	r := newRouter(t, s)
	reach(t, s, r, billing, Routing{Intent: Intent{Attempt: 1, Seq: 1, Phase: "Idle", Stable: "aaa"}, Live: []string{"aaa"}})
	fmt.Println(s.writes, s.yaml())
	s.writes = nil
	p := reach(t, s, r, billing, first10())
	fmt.Printf("%v %s %+v\n", s.writes, s.yaml(), p)
	s.writes = nil
	ab := first10()
	ab.Intent = Intent{Attempt: 2, Seq: 6, Phase: "Aborting", Stable: "aaa", Candidate: "bbb"}
	ab.Redirects = map[string]string{"bbb": "aaa"}
	p = reach(t, s, r, billing, ab)
	fmt.Printf("%v %s %+v\n", s.writes, s.yaml(), p)
	if _, err := r.Apply(context.Background(), billing, first10()); !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
	s.writes = nil
	g := Routing{Intent: Intent{Attempt: 2, Seq: 7, Phase: "Failed", Stable: "aaa"}, Live: []string{"aaa"}}
	p = reach(t, s, r, billing, g)
	fmt.Printf("%v %s %+v\n", s.writes, s.yaml(), p)
}
