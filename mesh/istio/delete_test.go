package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The first write leaves no route that names a subset; the subsets go once every proxy has heard of it.
func TestDeleteWaitsBetweenRoutesAndSubsets(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())

	s.writes = nil

	for range 2 {
		err := router.Delete(t.Context(), billing)
		if !errors.Is(err, ErrWaiting) || !strings.Contains(err.Error(), "waiting for VirtualService billing") {
			t.Error(err)
		}
	}

	if v := viewOf(s.objectsOf(t)); len(v.named) > 0 || len(v.subsets) != 2 || !slices.Equal(s.writes, []string{"PATCH virtualservices/billing"}) {
		t.Error(s.writes, s.yaml())
	}

	s.reconcileAll()

	if err := router.Delete(t.Context(), billing); err != nil || len(s.objects) > 0 {
		t.Error(err, s.yaml())
	}

	// Whoever comes back begins anew, with numbers of its own.
	first := decided10()
	first.Intent.Attempt, first.Intent.Seq = 1, 1
	reach(t, s, router, first)
}

// The agent is declared again while it is being deleted.
func TestDeleteInTheMiddle(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())

	if err := router.Delete(t.Context(), billing); !errors.Is(err, ErrWaiting) {
		t.Error(err)
	}

	first := decided10()
	first.Intent.Attempt, first.Intent.Seq = 3, 1
	reach(t, s, router, first)

	if v := viewOf(s.objectsOf(t)); v.split["bbb"] != 10 || v.pins["bbb"] != "bbb" {
		t.Error(s.yaml())
	}
}

// With the annotation gone the routes are still Serin's, by what they match and lead to.
func TestDeleteWithoutTheMark(t *testing.T) {
	s := newServer()
	reach(t, s, newRouter(t, s), decided10())
	s.edit(serviceOf(billing), func(d document) { delete(d.meta(), "annotations") })

	if err := remove(s, newRouter(t, s), billing); err != nil || len(s.objects) > 0 {
		t.Error(err, s.yaml())
	}
}

// Foreign routes that name a subset keep it.
func TestDeleteLeavesSubsetsThatOthersName(t *testing.T) {
	const other = "kind: VirtualService\nmetadata: {name: other, namespace: default}\n" +
		"spec: {hosts: [orders], http: [{route: [{destination: {host: billing, subset: r-bbb}}]}]}"

	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())
	s.load(t, other)

	err := remove(s, router, billing)
	if err == nil || !strings.Contains(err.Error(), "VirtualService other names subset r-bbb, which stays until it does not") {
		t.Error(err)
	}

	if v := viewOf(s.objectsOf(t)); !slices.Equal(v.subsets, []string{"bbb"}) {
		t.Error(s.yaml())
	}

	s.edit("/apis/networking.istio.io/v1/namespaces/default/virtualservices/other", func(d document) { delete(d.spec(), "http") })

	if err := remove(s, router, billing); err != nil || len(s.objects) != 1 {
		t.Error(err, s.yaml())
	}
}

// What others made stays, even if nothing is left in it but what Serin put there.
func TestDeleteLeavesObjectsThatOthersMade(t *testing.T) {
	s := newServer()
	s.load(t, `
kind: VirtualService
apiVersion: networking.istio.io/v1
metadata: {name: billing, namespace: default}
spec: {hosts: [billing]}
---
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: billing, namespace: default, labels: {team: payments}}
spec: {host: billing, exportTo: ["."]}
`)

	router := newRouter(t, s)
	reach(t, s, router, decided10())

	for range 2 {
		if err := remove(s, router, billing); err != nil {
			t.Error(err)
		}
	}

	service, rule := s.objectsOf(t)
	if service == nil || rule == nil || len(rule.Spec.GetSubsets()) > 0 || len(service.Spec.GetHttp()) != 1 {
		t.Fatal(s.yaml())
	}

	if to := service.Spec.GetHttp()[0].GetRoute()[0].GetDestination(); to.GetSubset() != "" || !billing.is(to.GetHost()) {
		t.Error("the calls go on to", to)
	}

	reach(t, s, router, decided10())
}
