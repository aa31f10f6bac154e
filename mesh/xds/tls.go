package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	tlsSocket = "envoy.transport_sockets.tls"
	// provider is the name that bootstraps give to the workload's own certificates.
	provider = "default"
	// nobody is no workload's name: with it among the names, a service without workloads trusts none instead of all.
	nobody = "spiffe://nobody"
)

// upstreamTLS accepts servers that prove to be one of names.
func upstreamTLS(names []string) *corev3.TransportSocket {
	validation := &tlsv3.CertificateValidationContext{CaCertificateProviderInstance: instance()}

	if len(names) == 0 {
		names = []string{nobody}
	}

	for _, name := range names {
		//nolint:staticcheck // the field that replaced it is one that grpc-go does not read
		validation.MatchSubjectAltNames = append(validation.MatchSubjectAltNames, exactly(name))
	}

	return socket(&tlsv3.UpstreamTlsContext{CommonTlsContext: common(validation)})
}

// downstreamTLS demands a certificate of the mesh from clients.
func downstreamTLS() *corev3.TransportSocket {
	return socket(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:         common(&tlsv3.CertificateValidationContext{CaCertificateProviderInstance: instance()}),
		RequireClientCertificate: wrapperspb.Bool(true),
	})
}

func common(validation *tlsv3.CertificateValidationContext) *tlsv3.CommonTlsContext {
	return &tlsv3.CommonTlsContext{
		TlsCertificateProviderInstance: instance(),
		ValidationContextType:          &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation},
	}
}

func instance() *tlsv3.CertificateProviderPluginInstance {
	return &tlsv3.CertificateProviderPluginInstance{InstanceName: provider}
}

func socket(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)},
	}
}
