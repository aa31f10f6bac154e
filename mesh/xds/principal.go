package xds

import (
	"regexp"
	"strconv"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// oneOf: any of values, and none of not.
func oneOf(values, not []string, translate func(string) *rbacv3.Principal) []*rbacv3.Principal {
	var parts []*rbacv3.Principal

	if len(values) > 0 {
		parts = append(parts, anyPrincipal(values, translate))
	}

	if len(not) > 0 {
		parts = append(parts, &rbacv3.Principal{Identifier: &rbacv3.Principal_NotId{NotId: anyPrincipal(not, translate)}})
	}

	return parts
}

func anyPrincipal(values []string, translate func(string) *rbacv3.Principal) *rbacv3.Principal {
	set := &rbacv3.Principal_Set{}
	for _, value := range values {
		set.Ids = append(set.Ids, translate(value))
	}

	return &rbacv3.Principal{Identifier: &rbacv3.Principal_OrIds{OrIds: set}}
}

func allPrincipals(parts []*rbacv3.Principal) *rbacv3.Principal {
	if len(parts) == 0 {
		return &rbacv3.Principal{Identifier: &rbacv3.Principal_Any{Any: true}}
	}

	return &rbacv3.Principal{Identifier: &rbacv3.Principal_AndIds{AndIds: &rbacv3.Principal_Set{Ids: parts}}}
}

func authenticated(name *matcherv3.StringMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Authenticated_{
		Authenticated: &rbacv3.Principal_Authenticated{PrincipalName: name},
	}}
}

// principal translates a SPIFFE ID without its scheme, with * at its beginning, its end, or alone.
func principal(value string) *rbacv3.Principal {
	switch {
	case value == "*":
		return authenticated(matching(".+"))
	case strings.HasPrefix(value, "*"):
		return authenticated(ending(value[1:]))
	case strings.HasSuffix(value, "*"):
		return authenticated(beginning("spiffe://" + strings.TrimSuffix(value, "*")))
	default:
		return authenticated(exactly("spiffe://" + value))
	}
}

// namespace translates a namespace, in which * stands for anything.
func namespace(value string) *rbacv3.Principal {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, "[^/]*")

	return authenticated(matching("spiffe://[^/]+/ns/" + pattern + "/sa/[^/]+"))
}

// account translates a service account, of the policy's own namespace if it names none.
func (c checker) account(value string) *rbacv3.Principal {
	space, name, ok := strings.Cut(value, "/")
	if !ok {
		space, name = c.namespace, value
	}

	return authenticated(exactly(c.options.spiffe(space, name)))
}

func header(name, value string) *rbacv3.Principal {
	matcher := &routev3.HeaderMatcher{Name: strings.ToLower(name)}

	if value == "*" {
		matcher.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
	} else {
		matcher.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: wildcard(value)}
	}

	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Header{Header: matcher}}
}

// wildcard translates a text with * at its beginning or its end.
func wildcard(value string) *matcherv3.StringMatcher {
	switch {
	case value == "*":
		return matching(".+")
	case strings.HasPrefix(value, "*"):
		return ending(value[1:])
	case strings.HasSuffix(value, "*"):
		return beginning(strings.TrimSuffix(value, "*"))
	default:
		return exactly(value)
	}
}

// ports: a service's port means the one that the workload really listens on.
func (c checker) ports(values, not []string) []*rbacv3.Permission {
	return oneOfPermissions(values, not, func(value string) *rbacv3.Permission {
		port, _ := strconv.ParseUint(value, 10, 16)

		for _, number := range c.service {
			if uint64(number) == port {
				port = uint64(c.at.Port())
			}
		}

		return &rbacv3.Permission{Rule: &rbacv3.Permission_DestinationPort{DestinationPort: uint32(port)}}
	})
}

func paths(values, not []string) []*rbacv3.Permission {
	return oneOfPermissions(values, not, func(value string) *rbacv3.Permission {
		return &rbacv3.Permission{Rule: &rbacv3.Permission_UrlPath{
			UrlPath: &matcherv3.PathMatcher{Rule: &matcherv3.PathMatcher_Path{Path: wildcard(value)}},
		}}
	})
}

func oneOfPermissions(values, not []string, translate func(string) *rbacv3.Permission) []*rbacv3.Permission {
	var parts []*rbacv3.Permission

	if len(values) > 0 {
		parts = append(parts, anyPermission(values, translate))
	}

	if len(not) > 0 {
		parts = append(parts, &rbacv3.Permission{Rule: &rbacv3.Permission_NotRule{NotRule: anyPermission(not, translate)}})
	}

	return parts
}

func anyPermission(values []string, translate func(string) *rbacv3.Permission) *rbacv3.Permission {
	set := &rbacv3.Permission_Set{}
	for _, value := range values {
		set.Rules = append(set.Rules, translate(value))
	}

	return &rbacv3.Permission{Rule: &rbacv3.Permission_OrRules{OrRules: set}}
}

func allPermissions(parts []*rbacv3.Permission) *rbacv3.Permission {
	if len(parts) == 0 {
		return &rbacv3.Permission{Rule: &rbacv3.Permission_Any{Any: true}}
	}

	return &rbacv3.Permission{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: parts}}}
}
