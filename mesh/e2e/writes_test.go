package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// writes are when the split of an agent changed in the mesh.
type writes struct {
	mu     sync.Mutex
	splits []written
}

type written struct {
	at    time.Time
	split map[string]int32
}

// writesOf notes each split of an agent, as soon as the API server tells of it, until the test ends.
func (p *platform) writesOf(agent string) *writes {
	p.Helper()

	scheme, err := cluster.Scheme()
	p.must(err)

	watching, err := client.NewWithWatch(shared.Config(), client.Options{Scheme: scheme})
	p.must(err)

	stream, err := watching.Watch(context.WithoutCancel(p.Context()), &networking.VirtualServiceList{}, client.InNamespace(install.Namespace))
	p.must(err)

	noted, ended := &writes{}, make(chan struct{})

	go func() {
		defer close(ended)

		for event := range stream.ResultChan() {
			if service, ok := event.Object.(*networking.VirtualService); ok && service.Name == agent {
				noted.note(written{time.Now(), splitOf(service)})
			}
		}
	}()

	p.Cleanup(func() {
		stream.Stop()
		<-ended
	})

	return noted
}

func (w *writes) note(one written) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.splits = append(w.splits, one)
}

// after returns when a revision first had a weight after a time.
func (w *writes) after(revision string, weight int32, since time.Time) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, one := range w.splits {
		if one.at.After(since) && one.split[revision] == weight {
			return one.at, nil
		}
	}

	return time.Time{}, fmt.Errorf("%s has had no weight of %d%% since %s", revision, weight, since)
}
