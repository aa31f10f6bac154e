// Package dialguard keeps clients from addresses that they shall not reach, whatever names lead there.
//
// What a name means is looked at when it is dialled, so that no answer of DNS, however often it changes, leads to an
// address that is refused.
package dialguard

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrAddress means that nothing was sent, since the address is refused.
var ErrAddress = errors.New("address refused")

// Guard decides which addresses may be dialled.
type Guard struct {
	// AllowPrivate lets this machine's and private networks' addresses be reached; a declaration said so.
	AllowPrivate bool
	// Unless follows the reason why an address is refused that AllowPrivate would let be reached: what there is to change.
	// Empty names the field of a declaration.
	Unless string
	// Resolver finds addresses; nil is the system's.
	Resolver *net.Resolver
}

// Dialer makes connections to what is not refused; what is fails with [ErrAddress], before anything is sent.
func (g Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: g.control, Resolver: g.Resolver}
}

// Transport makes HTTP's connections by the guard's dialer, and by nothing else: a proxy would dial what is refused here. It
// may be changed until it is used.
func (g Guard) Transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            g.Dialer().DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// control is called with the very address that a socket is about to be connected to, after names were resolved.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrAddress, address, err)
	}

	if reason := g.Refuses(to.Addr()); reason != "" {
		return fmt.Errorf("%w: %s is %s", ErrAddress, to.Addr(), reason)
	}

	return nil
}

const unlessDeclared = "and the declaration does not say allowPrivate: true"

// Refuses says why an address is refused; empty if it is not.
func (g Guard) Refuses(address netip.Addr) string {
	address = embedded(address.Unmap().WithZone(""))

	switch {
	case !address.IsValid(), address.IsUnspecified():
		return "no address of a server"
	case address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "an address of many"
	case address.IsLinkLocalUnicast(), address == metadataV6:
		return "a link-local address, where clouds keep their secrets"
	case g.AllowPrivate:
		return ""
	case address.IsLoopback():
		return "an address of this machine, " + cmp.Or(g.Unless, unlessDeclared)
	case address.IsPrivate(), within(special, address):
		return "a private address, " + cmp.Or(g.Unless, unlessDeclared)
	default:
		return ""
	}
}

// metadataV6 is where a cloud's metadata service is in IPv6.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

// special are the networks that are not on the internet beside those that net/netip knows (RFC 6890).
var special = networks("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "100::/64", "2001:db8::/32", "fec0::/10")

// translated are the networks of IPv6 with an address of IPv4 in them: NAT64, 6to4 and those that were meant to be
// compatible. A way through them leads to that address.
var translated = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// embedded returns the address of IPv4 that one of IPv6 leads to, or the address itself.
func embedded(address netip.Addr) netip.Addr {
	if !address.Is6() || address.IsLoopback() || address.IsUnspecified() {
		return address
	}

	bytes := address.As16()

	for _, each := range translated {
		if each.network.Contains(address) {
			return netip.AddrFrom4([4]byte(bytes[each.at : each.at+4]))
		}
	}

	return address
}

func networks(texts ...string) []netip.Prefix {
	made := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		made[i] = netip.MustParsePrefix(text)
	}

	return made
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}

	return false
}
