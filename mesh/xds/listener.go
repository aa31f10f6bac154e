package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
)

const (
	faultFilter  = "envoy.filters.http.fault"
	routerFilter = "envoy.filters.http.router"
)

// listeners are what clients of a service ask for first.
func (t *translator) listeners(service *service) []made {
	return t.made.get("listeners;"+service.host+";"+stamp(service.entry), func() []made {
		unit := make([]made, 0, len(service.entry.Spec.GetPorts()))
		for _, port := range service.entry.Spec.GetPorts() {
			unit = append(unit, made{Listener, outbound(service, port)})
		}

		return unit
	})
}

func outbound(service *service, port *networking.ServicePort) *Resource {
	name := outboundName(service.host, port.GetNumber())
	manager := &hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ads(), RouteConfigName: routesName(service.host, port.GetNumber()),
		}},
		HttpFilters: []*hcmv3.HttpFilter{httpFilter(faultFilter, &faultv3.HTTPFault{}), httpFilter(routerFilter, &routerv3.Router{})},
	}

	return seal(name, &listenerv3.Listener{
		Name: name, ApiListener: &listenerv3.ApiListener{ApiListener: pack(manager)},
	}, refOf(service.entry))
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}}
}

// ads says that a resource comes on the same stream.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
