package xds

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
)

// endpoints makes the load assignment of every cluster of a service: the ready workloads.
func (t *translator) endpoints(service *service) []made {
	var key strings.Builder

	key.WriteString("endpoints;" + service.host + ";" + stamp(service.entry) + ruleStamp(service.rule))

	for _, workload := range service.workloads {
		key.WriteString(stamp(workload))

		if !ready(workload) {
			key.WriteString("unready;")
		}
	}

	return t.made.get(key.String(), func() []made {
		var unit []made

		service.each(func(port *networking.ServicePort, subset string) {
			unit = append(unit, made{Endpoints, assignment(service, port, subset)})
		})

		return unit
	})
}

func assignment(service *service, port *networking.ServicePort, name string) *Resource {
	cluster := clusterName(service.host, port.GetNumber(), name)
	found := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{}, LoadBalancingWeight: wrapperspb.UInt32(1)}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	labels := subset(service.rule, name).GetLabels()
	seen := map[netip.AddrPort]bool{} // clients refuse doubles

	for _, workload := range service.workloads {
		at, ok := listensAt(&workload.Spec, port.GetName())
		if !ok || seen[at] {
			continue
		}

		seen[at] = true // the newest entry says whose an address is

		if ready(workload) && selects(labels, workload.Spec.GetLabels()) {
			found.LbEndpoints = append(found.LbEndpoints, endpoint(at))
		}
	}

	if len(found.GetLbEndpoints()) > 0 {
		assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{found}
	}

	return seal(cluster, assignment, ruleOrigins(service)...)
}

// listensAt is the address of a workload's port; ok is false if it has no port of that name.
func listensAt(workload *networking.WorkloadEntry, name string) (at netip.AddrPort, ok bool) {
	port, ok := workload.GetPorts()[name]
	address, err := netip.ParseAddr(workload.GetAddress())

	return netip.AddrPortFrom(address, uint16(port)), ok && err == nil //nolint:gosec // checked: a port
}

func endpoint(at netip.AddrPort) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(at)}},
		HealthStatus:   corev3.HealthStatus_HEALTHY,
	}
}

func socketAddress(at netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: at.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(at.Port())},
	}}}
}
