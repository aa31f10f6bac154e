package kubelet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// network gives Pods their addresses and plugs them into the bridge.
type network struct {
	prefix netip.Prefix
	node   net.IP

	mu    sync.Mutex
	last  netip.Addr
	taken map[netip.Addr]bool
}

// sandbox is a Pod's network: one that is the node's own has no namespace.
type sandbox struct {
	ip     string
	handle netns.NsHandle
	link   string
}

func newNetwork(cidr, nodeIP string) (*network, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, fmt.Errorf("read the Pods' network %q: %w", cidr, err)
	}

	node, err := netip.ParseAddr(nodeIP)
	if err != nil {
		return nil, fmt.Errorf("read the node's address %q: %w", nodeIP, err)
	}

	return &network{prefix: prefix, node: node.AsSlice(), last: node, taken: map[netip.Addr]bool{node: true}}, nil
}

// take finds an address that is free. One that was given back comes again only after all others, since the mesh may
// remember it for a while.
func (n *network) take() (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()

	for candidate := n.last.Next(); candidate != n.last; candidate = candidate.Next() {
		if !n.prefix.Contains(candidate) {
			candidate = n.prefix.Masked().Addr()

			continue
		}

		if bytes := candidate.As4(); n.taken[candidate] || bytes[3] == 0 || bytes[3] == 255 {
			continue
		}

		n.last, n.taken[candidate] = candidate, true

		return candidate, nil
	}

	return netip.Addr{}, fmt.Errorf("all addresses of %s are taken", n.prefix)
}

func (n *network) give(address netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()

	delete(n.taken, address)
}

// open makes a Pod's network.
func (n *network) open() (*sandbox, error) {
	address, err := n.take()
	if err != nil {
		return nil, err
	}

	bytes := address.As4()
	made := &sandbox{ip: address.String(), link: fmt.Sprintf("pod%d.%d", bytes[2], bytes[3]), handle: netns.None()}

	if err := n.plug(made); err != nil {
		return nil, errors.Join(err, n.shut(made))
	}

	return made, nil
}

// plug makes a namespace, and a cable from its eth0 to the bridge.
func (n *network) plug(s *sandbox) error {
	var err error

	if s.handle, err = newNamespace(); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}

	bridge, err := netlink.LinkByName(Bridge)
	if err != nil {
		return fmt.Errorf("find the bridge: %w", err)
	}

	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: s.link, MasterIndex: bridge.Attrs().Index},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(int(s.handle)),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("make the cable %s: %w", s.link, err)
	}

	if err := netlink.LinkSetUp(cable); err != nil {
		return fmt.Errorf("set the cable %s up: %w", s.link, err)
	}

	inside, err := netlink.NewHandleAt(s.handle)
	if err != nil {
		return fmt.Errorf("reach into the namespace: %w", err)
	}
	defer inside.Close()

	return n.furnish(inside, s.ip)
}

// furnish sets up the links inside a Pod.
func (n *network) furnish(inside *netlink.Handle, ip string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := inside.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find the Pod's %s: %w", name, err)
		}

		if name == "eth0" {
			mask := net.CIDRMask(n.prefix.Bits(), 32)
			if err := inside.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: mask}}); err != nil {
				return fmt.Errorf("give the Pod address %s: %w", ip, err)
			}
		}

		if err := inside.LinkSetUp(link); err != nil {
			return fmt.Errorf("set the Pod's %s up: %w", name, err)
		}
	}

	if err := inside.RouteAdd(&netlink.Route{Gw: n.node}); err != nil {
		return fmt.Errorf("give the Pod its default route: %w", err)
	}

	return nil
}

// shut removes a Pod's network; connections to it break at once.
func (n *network) shut(s *sandbox) error {
	if s.link == "" {
		return nil
	}

	var problems []error

	if link, err := netlink.LinkByName(s.link); err == nil {
		problems = append(problems, netlink.LinkDel(link))
	}

	if s.handle.IsOpen() {
		problems = append(problems, s.handle.Close())
	}

	if address, err := netip.ParseAddr(s.ip); err == nil {
		n.give(address)
	}

	return errors.Join(problems...)
}

// newNamespace makes a network namespace from a thread that is thrown away after.
func newNamespace() (netns.NsHandle, error) {
	type result struct {
		handle netns.NsHandle
		err    error
	}

	made := make(chan result)

	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine

		handle, err := netns.New()
		made <- result{handle, err}
	}()

	answer := <-made

	return answer.handle, answer.err
}

// inside calls the function on a thread that is in the sandbox's network, and thrown away after.
func (s *sandbox) inside(call func() error) error {
	if !s.handle.IsOpen() {
		return call()
	}

	done := make(chan error)

	go func() {
		runtime.LockOSThread() // and never unlocked

		if err := netns.Set(s.handle); err != nil {
			done <- fmt.Errorf("enter the Pod's network: %w", err)

			return
		}

		done <- call()
	}()

	return <-done
}
