package xds

import (
	"net"
	"strconv"
	"strings"
)

const (
	// Domain is what short host names end in, after their namespace.
	Domain = "svc.cluster.local"
	// InboundPrefix and the address that a server listens on name its listener.
	InboundPrefix = "xds.istio.io/grpc/lds/inbound/"
	// ReadyAnnotation on a WorkloadEntry says whether its process serves; "false" keeps it out of the endpoints.
	ReadyAnnotation = "serin.dev/ready"
)

// qualify makes a host name as it may be written in an object of a namespace a full one.
func qualify(host, namespace string) string {
	if strings.Contains(host, ".") {
		return host
	}

	return host + "." + namespace + "." + Domain
}

// clusterName is that of a subset, or of the whole service if subset is empty.
func clusterName(host string, port uint32, subset string) string {
	return "outbound|" + number(port) + "|" + subset + "|" + host
}

func routesName(host string, port uint32) string { return clusterName(host, port, "") }

func outboundName(host string, port uint32) string { return net.JoinHostPort(host, number(port)) }

func inboundName(address string, port uint32) string {
	return InboundPrefix + net.JoinHostPort(address, number(port))
}

func number(port uint32) string { return strconv.FormatUint(uint64(port), 10) }
