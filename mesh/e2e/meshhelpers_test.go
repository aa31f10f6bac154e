package e2e_test

import (
	"context"
	"fmt"
	"strings"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/install"
)

// service reads an agent's VirtualService.
func (p *platform) service(name string) *networking.VirtualService {
	p.Helper()

	found := &networking.VirtualService{}
	p.must(shared.Client.Get(p.Context(), client.ObjectKey{Namespace: install.Namespace, Name: name}, found))

	return found
}

// rule reads an agent's DestinationRule.
func (p *platform) rule(name string) *networking.DestinationRule {
	p.Helper()

	found := &networking.DestinationRule{}
	p.must(shared.Client.Get(p.Context(), client.ObjectKey{Namespace: install.Namespace, Name: name}, found))

	return found
}

// split is what the VirtualService of an agent gives to each revision.
func (p *platform) split(agent string) map[string]int32 {
	p.Helper()

	return splitOf(p.service(agent))
}

func splitOf(service *networking.VirtualService) map[string]int32 {
	shares := map[string]int32{}

	for _, route := range service.Spec.GetHttp() {
		if route.GetName() != "split" {
			continue
		}

		for _, destination := range route.GetRoute() {
			weight := destination.GetWeight()
			if len(route.GetRoute()) == 1 {
				weight = 100 // as Istio has it
			}

			shares[strings.TrimPrefix(destination.GetDestination().GetSubset(), "r-")] = weight
		}
	}

	return shares
}

// edited changes an object as someone does who reads it, changes it and writes it back, until no one else wrote meanwhile.
func edited[T client.Object](p *platform, object T, change func(T)) {
	p.Helper()

	p.eventually("someone has edited "+object.GetName(), func(ctx context.Context) error {
		if err := shared.Client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}

		change(object)

		return shared.Client.Update(ctx, object)
	})
}

// fields is an object as the API server has it.
func fields(p *platform, object client.Object) map[string]any {
	p.Helper()

	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	p.must(err)

	return content
}

// weighs waits until the split is as wanted.
func (p *platform) weighs(agent, revision string, want int32) {
	p.Helper()

	p.eventually(fmt.Sprintf("%s %s has %d%% in the mesh", agent, revision, want), func(context.Context) error {
		if now := p.split(agent); now[revision] != want {
			return fmt.Errorf("it is %v", now)
		}

		return nil
	})
}
