package xds

import (
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
)

func everything() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}}
}

// matches are the conditions of a route, any of which suffices, as far as they are about this port.
func (r *router) matches(route *networking.HTTPRoute) []*routev3.RouteMatch {
	if len(route.GetMatch()) == 0 {
		return []*routev3.RouteMatch{everything()}
	}

	var matches []*routev3.RouteMatch

	for _, match := range route.GetMatch() {
		if match.GetPort() == 0 || match.GetPort() == r.port {
			matches = append(matches, routeMatch(match))
		}
	}

	return matches
}

func routeMatch(match *networking.HTTPMatchRequest) *routev3.RouteMatch {
	translated := everything()
	setPath(translated, match.GetUri())

	if match.GetIgnoreUriCase() {
		translated.CaseSensitive = wrapperspb.Bool(false)
	}

	for _, name := range slices.Sorted(maps.Keys(match.GetHeaders())) {
		translated.Headers = append(translated.Headers, headerMatcher(name, match.GetHeaders()[name]))
	}

	return translated
}

func setPath(match *routev3.RouteMatch, uri *networking.StringMatch) {
	switch pattern := uri.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		match.PathSpecifier = &routev3.RouteMatch_Path{Path: pattern.Exact}
	case *networking.StringMatch_Prefix:
		match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: pattern.Prefix}
	case *networking.StringMatch_Regex:
		match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: pattern.Regex}}
	}
}

// headerMatcher: a pattern that says nothing asks for the header's presence.
func headerMatcher(name string, pattern *networking.StringMatch) *routev3.HeaderMatcher {
	matcher := &routev3.HeaderMatcher{Name: strings.ToLower(name)}

	if text := stringMatcher(pattern); text != nil {
		matcher.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: text}
	} else {
		matcher.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
	}

	return matcher
}

func stringMatcher(pattern *networking.StringMatch) *matcherv3.StringMatcher {
	switch pattern := pattern.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		return exactly(pattern.Exact)
	case *networking.StringMatch_Prefix:
		return beginning(pattern.Prefix)
	case *networking.StringMatch_Regex:
		return matching(pattern.Regex)
	default:
		return nil
	}
}

func exactly(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}}
}

func beginning(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: text}}
}

func ending(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: text}}
}

func matching(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}},
	}
}
