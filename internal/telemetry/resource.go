package telemetry

import (
	"context"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// newResource says whose telemetry it is. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over what the process knows
// itself.
func (s *settings) newResource(options Options) *resource.Resource {
	if s.getenv == nil {
		return resource.Empty()
	}

	own := append([]attribute.KeyValue{ServiceInstance.String(uuid.NewString())}, options.Resource...)

	for key, value := range map[attribute.Key]string{ServiceName: options.Service, ServiceVersion: options.Version} {
		if value != "" {
			own = append(own, key.String(value))
		}
	}

	made, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(), resource.WithAttributes(own...), resource.WithFromEnv())
	if err != nil { // what could be read is there all the same
		s.passOver("OTEL_RESOURCE_ATTRIBUTES", s.getenv("OTEL_RESOURCE_ATTRIBUTES"), "a list such as key=value,key2=value2")
	}

	return made
}
