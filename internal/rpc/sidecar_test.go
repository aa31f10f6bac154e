package rpc

import (
	"net"
	"strings"
	"testing"
)

func TestOnlyThisPodIsTakenForTheEnvoy(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.6:40000": true, "127.0.0.1:1": true, "[::1]:1": true, "[::6]:1": true, "[::ffff:127.0.0.6]:1": true,
		"10.1.2.3:1": false, "[fd00::1]:1": false, "[::ffff:10.1.2.3]:1": false, "[::7]:1": false,
	} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}

		if err := checkInPod(tcp); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}

	if err := checkInPod(&net.UnixAddr{Name: "/run/x", Net: "unix"}); err == nil || !strings.Contains(err.Error(), "/run/x") {
		t.Errorf("a socket file: %v", err)
	}
}

func TestSidecarTarget(t *testing.T) {
	if got := SidecarTarget("shop", "billing"); got != "dns:///billing.shop.svc.cluster.local:9000" {
		t.Errorf("got %s", got)
	}
}
