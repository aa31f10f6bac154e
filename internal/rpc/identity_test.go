package rpc_test

import (
	"testing"

	"github.com/serinhq/serin/internal/rpc"
)

func TestParseIdentity(t *testing.T) {
	got, err := rpc.ParseIdentity("spiffe://cluster.local/ns/default/sa/billing")
	if want := (rpc.Identity{TrustDomain: "cluster.local", Namespace: "default", Name: "billing"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}

	for _, bad := range []string{
		"", "billing", "https://cluster.local/ns/default/sa/billing", "spiffe://cluster.local",
		"spiffe://cluster.local/ns/default", "spiffe://cluster.local/ns/default/sa/", "spiffe://cluster.local/ns//sa/billing",
		"spiffe://cluster.local/ns/default/sa/billing/more", "spiffe://cluster.local/sa/billing/ns/default",
		"spiffe://Cluster.Local/ns/default/sa/billing", "spiffe://cluster.local/ns/../sa/billing",
		"spiffe://cluster.local/ns/default/sa/billing?as=serin-gateway", "spiffe://cluster.local/ns/default/sa/serin%2Dgateway",
	} {
		if id, err := rpc.ParseIdentity(bad); err == nil {
			t.Errorf("ParseIdentity(%q) = %+v, want an error", bad, id)
		}
	}
}

func TestIsAgent(t *testing.T) {
	for name, want := range map[string]bool{"billing": true, "serin-gateway": false, "serin-": false, "serin": true, "": false} {
		if got := (rpc.Identity{Name: name}).IsAgent(); got != want {
			t.Errorf("%q is an agent: %v, want %v", name, got, want)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/default/sa/billing")
	f.Add("spiffe://cluster.local/ns//sa/")
	f.Fuzz(func(t *testing.T, uri string) {
		id, err := rpc.ParseIdentity(uri)
		if err != nil {
			return
		}

		if id.TrustDomain == "" || id.Namespace == "" || id.Name == "" {
			t.Errorf("ParseIdentity(%q) = %+v: a part is empty", uri, id)
		}

		if id.String() != uri {
			t.Errorf("ParseIdentity(%q) reads back as %s", uri, id)
		}
	})
}

func TestMerge(t *testing.T) {
	one, two := rpc.Policy{"/a.A/X": rpc.AnyAgent}, rpc.Policy{"/a.A/Y": rpc.AnyWorkload}

	merged, err := rpc.Merge(one, two)
	if err != nil || len(merged) != 2 || len(one) != 1 {
		t.Errorf("Merge() = %v, %v", merged, err)
	}

	if _, err := rpc.Merge(one, two, one); err == nil || err.Error() != "method /a.A/X is in two policies" {
		t.Errorf("Merge() with a method twice = %v", err)
	}
}

func TestCallers(t *testing.T) {
	gateway, agent := rpc.Identity{Name: rpc.Gateway}, rpc.Identity{Name: "billing"}

	for name, test := range map[string]struct {
		caller         rpc.Caller
		gateway, agent bool
	}{
		"names":        {rpc.Names("billing", "triage"), false, true},
		"nobody":       {rpc.Names(), false, false},
		"any agent":    {rpc.AnyAgent, false, true},
		"any workload": {rpc.AnyWorkload, true, true},
		"any of":       {rpc.AnyOf(rpc.AnyAgent, rpc.Names(rpc.Gateway)), true, true},
		"any of none":  {rpc.AnyOf(), false, false},
	} {
		if test.caller(gateway) != test.gateway || test.caller(agent) != test.agent {
			t.Errorf("%s: gateway %v, agent %v", name, test.caller(gateway), test.caller(agent))
		}
	}
}
