package cluster

import (
	"fmt"
	"net"
	"strconv"
)

const (
	// NodeName is the one node's name.
	NodeName = "node-1"
	// NodeIP is the node's address, where everything of the control plane that Pods may reach listens.
	NodeIP = "10.50.0.1"
	// PodCIDR is the network of the node and its Pods.
	PodCIDR = "10.50.0.0/16"
	// serviceCIDR is where cluster IPs come from. Nothing answers there: there is no kube-proxy.
	serviceCIDR = "10.51.0.0/16"
	// IstioNamespace is where istiod lives.
	IstioNamespace = "istio-system"
	// IstiodHost is the name that istiod's certificate is good for; Pods and the node resolve it.
	IstiodHost = "istiod.istio-system.svc"
)

// addresses are where the components listen, as host:port.
type addresses struct {
	ip                                                                  string
	etcd, etcdPeer                                                      string
	apiServer                                                           string
	istiodXDS, istiodWebhook, istiodPlain, istiodHTTP, istiodMonitoring string
}

// nodeAddresses are the well-known ones, in a network of our own. Those on the loopback are nobody's but the node's.
func nodeAddresses() addresses {
	return addresses{
		ip: NodeIP, etcd: "127.0.0.1:2379", etcdPeer: "127.0.0.1:2380", apiServer: NodeIP + ":6443",
		istiodXDS: NodeIP + ":15012", istiodWebhook: NodeIP + ":15017",
		istiodPlain: "127.0.0.1:15010", istiodHTTP: "127.0.0.1:8080", istiodMonitoring: "127.0.0.1:15014",
	}
}

// loopbackAddresses have ports that are free now.
func loopbackAddresses() (addresses, error) {
	const ip = "127.0.0.1"

	listen := addresses{ip: ip}

	for _, address := range []*string{
		&listen.etcd, &listen.etcdPeer, &listen.apiServer,
		&listen.istiodXDS, &listen.istiodWebhook, &listen.istiodPlain, &listen.istiodHTTP, &listen.istiodMonitoring,
	} {
		listener, err := net.Listen("tcp", net.JoinHostPort(ip, "0")) //nolint:noctx // it only asks for a port
		if err != nil {
			return addresses{}, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // all stay open until the last is found, so that they differ

		*address = listener.Addr().String()
	}

	return listen, nil
}

// port is the port of a host:port of ours.
func port(address string) int {
	_, text, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(text)

	return number
}
