package istio

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	firstReconnect = 50 * time.Millisecond
	maxReconnect   = 2 * time.Second
	// mostFailures is how many times in a row connecting may fail: some 15 s.
	mostFailures = 12
)

// Watch calls changed whenever anyone may have changed the agent's VirtualService or DestinationRule, from one goroutine
// at a time per object and at least once in the beginning. It blocks until ctx ends, connecting again when the connection
// breaks, and returns nil then. It returns an error if it may not watch, if there is nothing to watch because Istio's types
// are not installed, or if it could not connect for some 15 s.
func (r *Router) Watch(ctx context.Context, agent Agent, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	services := r.config.Client.NetworkingV1().VirtualServices(agent.Namespace).Watch
	rules := r.config.Client.NetworkingV1().DestinationRules(agent.Namespace).Watch
	ended := make(chan error, 2)

	for _, open := range []opener{services, rules} {
		go func() { ended <- r.follow(ctx, agent, open, changed) }()
	}

	err := <-ended

	cancel()

	if err = cmp.Or(err, <-ended); err != nil {
		return fmt.Errorf("agent %s: watch: %w", agent.Name, err)
	}

	return nil
}

type opener func(context.Context, metav1.ListOptions) (watch.Interface, error)

// follow keeps one watch open.
func (r *Router) follow(ctx context.Context, agent Agent, open opener, changed func()) error {
	pause, failures := firstReconnect, 0

	for ctx.Err() == nil {
		watcher, err := open(ctx, metav1.ListOptions{})

		switch failures++; {
		case err != nil && ctx.Err() == nil && (hopeless(err) || failures >= mostFailures):
			return err
		case err == nil:
			pause, failures = firstReconnect, 0

			r.forget(agent)
			changed()
			r.drain(ctx, agent, watcher, changed)
		}

		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter
			pause = min(2*pause, maxReconnect)
		}
	}

	return nil
}

// hopeless reports whether connecting again would not help.
func hopeless(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err)
}

func (r *Router) drain(ctx context.Context, agent Agent, watcher watch.Interface, changed func()) {
	defer watcher.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-watcher.ResultChan():
			if !ok || event.Type == watch.Error {
				return
			}

			if r.concerns(agent, event) {
				changed()
			}
		}
	}
}

// concerns reports whether an event is about the agent. An object that is new to the Router makes it look again.
func (r *Router) concerns(agent Agent, event watch.Event) bool {
	known := r.known(agent)

	var mine bool

	switch object := event.Object.(type) {
	case *networking.VirtualService:
		mine = agent.served(object) || object.Name == known.service
		if mine && object.Name != known.service {
			r.forget(agent)
		}
	case *networking.DestinationRule:
		mine = agent.ruled(object) || object.Name == known.rule
	}

	return mine
}
