package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// checkOrigin keeps web pages of others from using a gateway through the browser of someone who may. Where tokens are
// asked for, they alone decide: a browser does not send them by itself.
func (d *rest) checkOrigin(r *http.Request) error {
	if d.cfg.Tokens != nil {
		return nil
	}

	if err := d.origins.Check(r); err != nil {
		return fault.New(codes.PermissionDenied, "CROSS_ORIGIN",
			"a web page of another origin may not do this on a gateway without tokens")
	}

	if onLoopback(r) && !d.isKnownHost(r.Host) {
		return withStatus(http.StatusMisdirectedRequest, fault.New(codes.PermissionDenied, "HOST_NOT_ALLOWED",
			"Host %q: a gateway without tokens on a loopback address answers to localhost and addresses only", r.Host))
	}

	return nil
}

// onLoopback reports whether the request came in on a loopback address.
func onLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)

	return ok && local.IP.IsLoopback()
}

// isKnownHost reports whether no web page can have made its own name of the host.
func (d *rest) isKnownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}

	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(d.cfg.Hosts, host) {
		return true
	}

	_, err := netip.ParseAddr(host)

	return err == nil
}
