package xds

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

func checkServiceEntry(spec *networking.ServiceEntry, found *problems) {
	checkHosts(spec.GetHosts(), found)
	checkExportTo(spec.GetExportTo(), found)
	checkServicePorts(spec.GetPorts(), found)

	if spec.GetLocation() != networking.ServiceEntry_MESH_INTERNAL {
		found.add("spec.location", "%s is not supported on one machine: must be MESH_INTERNAL", spec.GetLocation())
	}

	if spec.GetResolution() != networking.ServiceEntry_STATIC {
		found.add("spec.resolution", "%s is not supported on one machine: must be STATIC", spec.GetResolution())
	}

	if len(spec.GetWorkloadSelector().GetLabels()) == 0 {
		found.add("spec.workloadSelector.labels", "must say which WorkloadEntry objects are the service's")
	}
}

func checkServicePorts(ports []*networking.ServicePort, found *problems) {
	if len(ports) == 0 {
		found.add("spec.ports", "must hold at least one port")
	}

	names, numbers := map[string]bool{}, map[uint32]bool{}

	for i, port := range ports {
		path := fmt.Sprintf("spec.ports[%d]", i)
		checkPortNumber(port.GetNumber(), path+".number", found)

		if !strings.EqualFold(port.GetProtocol(), "GRPC") {
			found.add(path+".protocol", "%q is not supported on one machine: must be GRPC", port.GetProtocol())
		}

		if port.GetName() == "" || names[port.GetName()] || numbers[port.GetNumber()] {
			found.add(path, "name %q and number %d must be there, and each once", port.GetName(), port.GetNumber())
		}

		names[port.GetName()], numbers[port.GetNumber()] = true, true
	}
}

func checkWorkloadEntry(spec *networking.WorkloadEntry, found *problems) {
	if address, err := netip.ParseAddr(spec.GetAddress()); err != nil || address.Zone() != "" || address.IsUnspecified() {
		found.add("spec.address", "%q must be an IP address", spec.GetAddress())
	}

	if len(spec.GetPorts()) == 0 {
		found.add("spec.ports", "must hold at least one port, such as grpc: 9000")
	}

	for _, name := range slices.Sorted(maps.Keys(spec.GetPorts())) {
		checkPortNumber(spec.GetPorts()[name], "spec.ports["+name+"]", found)
	}

	if strings.ContainsAny(spec.GetServiceAccount(), "/ ") {
		found.add("spec.serviceAccount", "%q must be a name", spec.GetServiceAccount())
	}
}
