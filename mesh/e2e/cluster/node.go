package cluster

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet"
)

// makeNode furnishes the namespaces of this process: mounts that the host does not see, process ids of its own, a
// loopback, the bridge that Pods are plugged into, and a hosts file that knows istiod.
func makeNode() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to the node: %w", err)
	}

	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}

	if err := writeHosts(); err != nil {
		return err
	}

	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback: %w", err)
	}

	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("set the loopback up: %w", err)
	}

	return makeBridge()
}

func makeBridge() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: kubelet.Bridge}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make the Pods' bridge: %w", err)
	}

	_, network, err := net.ParseCIDR(PodCIDR)
	if err != nil {
		return fmt.Errorf("read the Pods' network: %w", err)
	}

	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(NodeIP), Mask: network.Mask}}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return fmt.Errorf("give the node its address: %w", err)
	}

	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("set the Pods' bridge up: %w", err)
	}

	return nil
}

// writeHosts puts a hosts file of the node's own over the host's.
func writeHosts() error {
	const hosts = "127.0.0.1 localhost\n" + NodeIP + " " + NodeName + " " + IstiodHost + " istiod." + IstioNamespace + " kubernetes.default.svc\n"

	file, err := os.CreateTemp("", "serin-e2e-hosts-")
	if err != nil {
		return fmt.Errorf("make a hosts file: %w", err)
	}
	defer os.Remove(file.Name()) //nolint:errcheck // the mount keeps what it needs

	if _, err := file.WriteString(hosts); err != nil {
		return fmt.Errorf("write the hosts file: %w", err)
	}

	if err := file.Chmod(0o644); err != nil {
		return fmt.Errorf("let everybody read the hosts file: %w", err)
	}

	if err := file.Close(); err != nil {
		return fmt.Errorf("close the hosts file: %w", err)
	}

	if err := unix.Mount(file.Name(), "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put the hosts file in its place: %w", err)
	}

	return nil
}
