package xds

import (
	"net/netip"
	"slices"
	"strconv"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	security "istio.io/api/security/v1beta1"
)

const rbacFilter = "envoy.filters.http.rbac"

// access makes a filter for the policies that deny, and after it one for those that allow.
func (t *translator) access(g guarded, port string, at netip.AddrPort) []*hcmv3.HttpFilter {
	var filters []*hcmv3.HttpFilter

	c := checker{options: t.options, at: at}

	for _, service := range g.ports {
		if service.name == port {
			c.service = append(c.service, service.number)
		}
	}

	deny := c.rules(g, security.AuthorizationPolicy_DENY)
	if len(deny) > 0 {
		filters = append(filters, enforce(rbacFilter+".deny", rbacv3.RBAC_DENY, deny))
	}

	allow := c.rules(g, security.AuthorizationPolicy_ALLOW)
	if len(allow) > 0 {
		filters = append(filters, enforce(rbacFilter+".allow", rbacv3.RBAC_ALLOW, allow))
	}

	return filters
}

func enforce(name string, action rbacv3.RBAC_Action, policies map[string]*rbacv3.Policy) *hcmv3.HttpFilter {
	return httpFilter(name, &filterv3.RBAC{Rules: &rbacv3.RBAC{Action: action, Policies: policies}})
}

// checker translates the rules of policies for one port of one workload.
type checker struct {
	options Options
	at      netip.AddrPort
	// service are the numbers by which services know the port.
	service []uint32
	// namespace is that of the policy.
	namespace string
}

func (c checker) rules(g guarded, action security.AuthorizationPolicy_Action) map[string]*rbacv3.Policy {
	policies := map[string]*rbacv3.Policy{}

	for _, policy := range g.policies {
		if policy.Spec.GetAction() != action {
			continue
		}

		c.namespace = policy.GetNamespace()

		for i, rule := range policy.Spec.GetRules() {
			name := "ns[" + policy.GetNamespace() + "]-policy[" + policy.GetName() + "]-rule[" + strconv.Itoa(i) + "]"
			policies[name] = c.policy(rule)
		}
	}

	return policies
}

func (c checker) policy(rule *security.Rule) *rbacv3.Policy {
	return &rbacv3.Policy{Permissions: c.permissions(rule), Principals: c.principals(rule)}
}

// permissions: one of the operations, and every condition about where the call goes.
func (c checker) permissions(rule *security.Rule) []*rbacv3.Permission {
	var conditions []*rbacv3.Permission

	for _, when := range rule.GetWhen() {
		if when.GetKey() == keyPort {
			conditions = append(conditions, c.ports(when.GetValues(), when.GetNotValues())...)
		}
	}

	if len(rule.GetTo()) == 0 {
		return []*rbacv3.Permission{allPermissions(conditions)}
	}

	permissions := make([]*rbacv3.Permission, 0, len(rule.GetTo()))

	for _, to := range rule.GetTo() {
		operation := to.GetOperation()
		parts := slices.Concat(conditions,
			c.ports(operation.GetPorts(), operation.GetNotPorts()),
			paths(operation.GetPaths(), operation.GetNotPaths()))
		permissions = append(permissions, allPermissions(parts))
	}

	return permissions
}

// principals: one of the sources, and every condition about where the call comes from.
func (c checker) principals(rule *security.Rule) []*rbacv3.Principal {
	conditions := make([]*rbacv3.Principal, 0, len(rule.GetWhen()))
	for _, when := range rule.GetWhen() {
		conditions = append(conditions, c.condition(when)...)
	}

	if len(rule.GetFrom()) == 0 {
		return []*rbacv3.Principal{allPrincipals(conditions)}
	}

	principals := make([]*rbacv3.Principal, 0, len(rule.GetFrom()))

	for _, from := range rule.GetFrom() {
		source := from.GetSource()
		parts := slices.Concat(conditions,
			oneOf(source.GetPrincipals(), source.GetNotPrincipals(), principal),
			oneOf(source.GetNamespaces(), source.GetNotNamespaces(), namespace),
			oneOf(source.GetServiceAccounts(), source.GetNotServiceAccounts(), c.account))
		principals = append(principals, allPrincipals(parts))
	}

	return principals
}

func (c checker) condition(when *security.Condition) []*rbacv3.Principal {
	switch when.GetKey() {
	case keyPort:
		return nil
	case keyPrincipal:
		return oneOf(when.GetValues(), when.GetNotValues(), principal)
	case keyNamespace:
		return oneOf(when.GetValues(), when.GetNotValues(), namespace)
	default:
		name, _ := headerKey(when.GetKey())

		return oneOf(when.GetValues(), when.GetNotValues(), func(value string) *rbacv3.Principal { return header(name, value) })
	}
}
