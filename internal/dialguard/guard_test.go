package dialguard

import (
	"net/netip"
	"testing"
)

func TestRefuses(t *testing.T) {
	for text, want := range map[string][2]bool{ // refused, and refused even if private addresses are allowed
		"93.184.215.14": {false, false}, "2606:2800:21f:cb07:6820:80da:af6b:8b2c": {false, false},
		"127.0.0.1": {true, false}, "127.8.9.10": {true, false}, "::1": {true, false}, "::ffff:127.0.0.1": {true, false},
		"10.0.0.1": {true, false}, "172.16.0.1": {true, false}, "192.168.1.1": {true, false}, "100.64.0.1": {true, false},
		"fd12:3456::1": {true, false}, "::ffff:10.0.0.1": {true, false}, "198.18.0.1": {true, false}, "240.0.0.1": {true, false},
		"64:ff9b::7f00:1": {true, false}, "64:ff9b::a9fe:a9fe": {true, true}, "2002:a9fe:a9fe::1": {true, true}, "2002:7f00:1::": {true, false},
		"::127.0.0.1": {true, false}, "169.254.169.254": {true, true}, "::ffff:169.254.169.254": {true, true},
		"fe80::1": {true, true}, "fe80::1%eth0": {true, true}, "fd00:ec2::254": {true, true},
		"0.0.0.0": {true, true}, "::": {true, true}, "224.0.0.1": {true, true}, "ff02::1": {true, true}, "255.255.255.255": {true, true},
	} {
		address := netip.MustParseAddr(text)
		if got := [2]bool{Guard{}.Refuses(address) != "", Guard{AllowPrivate: true}.Refuses(address) != ""}; got != want {
			t.Errorf("%s: refused %v, want %v", text, got, want)
		}
	}
}
