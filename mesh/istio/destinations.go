package istio

import (
	"slices"

	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
)

// names reports whether any route of a VirtualService names a subset of the agent.
func (a Agent) names(service *networking.VirtualService, name string) bool {
	return slices.ContainsFunc(destinations(service), func(d *api.Destination) bool {
		return d.GetSubset() == name && a.is(d.GetHost())
	})
}

// destinations are all that a VirtualService leads to.
func destinations(service *networking.VirtualService) []*api.Destination {
	var all []*api.Destination

	if service == nil {
		return nil
	}

	for _, route := range service.Spec.GetHttp() {
		all = append(all, route.GetMirror())

		for _, d := range route.GetMirrors() {
			all = append(all, d.GetDestination())
		}

		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	for _, route := range service.Spec.GetTcp() {
		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	for _, route := range service.Spec.GetTls() {
		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	return all
}
