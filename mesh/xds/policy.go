package xds

import (
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// settings are the traffic policy that is in force for one cluster.
type settings struct {
	balancer *networking.LoadBalancerSettings
	pool     *networking.ConnectionPoolSettings
	tls      *networking.ClientTLSSettings
}

// effective is the policy of a port and a subset: the subset's goes before the rule's, a port's before both.
func effective(rule *networkingv1.DestinationRule, name string, port uint32) *settings {
	if rule == nil {
		return &settings{}
	}

	layers := []*networking.TrafficPolicy{rule.Spec.GetTrafficPolicy()}
	if subset := subset(rule, name); subset != nil {
		layers = append(layers, subset.GetTrafficPolicy())
	}

	general := &settings{}

	var special *settings

	for _, layer := range layers {
		general.overlay(layer)

		for _, level := range layer.GetPortLevelSettings() {
			if level.GetPort().GetNumber() == port {
				special = &settings{level.GetLoadBalancer(), level.GetConnectionPool(), level.GetTls()}
			}
		}
	}

	if special != nil {
		return special
	}

	return general
}

func (s *settings) overlay(policy *networking.TrafficPolicy) {
	if balancer := policy.GetLoadBalancer(); balancer != nil {
		s.balancer = balancer
	}

	if pool := policy.GetConnectionPool(); pool != nil {
		s.pool = pool
	}

	if tls := policy.GetTls(); tls != nil {
		s.tls = tls
	}
}

// hashHeader is the header by which requests stick to endpoints, empty if they do not.
func (s *settings) hashHeader() string { return s.balancer.GetConsistentHash().GetHttpHeaderName() }
