package app

import (
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
)

// service is what logs and traces call the process. An agent's own ambassador, in its pod, and its retriever are named for
// what they do.
func (c *workloadConfig) service() string {
	switch c.Room {
	case "ambassador":
		return rpc.Ambassador
	case "retriever":
		return "serin-retriever"
	}

	return c.Name
}

// origin says more of the process in what it exports.
func (c *workloadConfig) origin() []attribute.KeyValue {
	var origin []attribute.KeyValue

	for key, value := range map[attribute.Key]string{
		telemetry.PodName: c.pod.name, telemetry.PodNamespace: c.pod.namespace,
	} {
		if value != "" {
			origin = append(origin, key.String(value))
		}
	}

	if c.Room == "agent" || c.Room == "retriever" || c.Room == "ambassador" && c.Name != rpc.Ambassador {
		origin = append(origin, telemetry.Agent.String(c.Name))
	}

	if c.Agent != nil {
		origin = append(origin, telemetry.Revision.String(agentspec.Short(c.Agent.Revision)))
	}

	return origin
}

const (
	// telemetryPrefix begins all of OpenTelemetry's variables.
	telemetryPrefix = "OTEL_"
	// serviceNameVariable is the one that is not for all processes of a platform.
	serviceNameVariable = "OTEL_SERVICE_NAME"
)

// telemetryEnv are the variables of telemetry for a workload. What is said of the service's name is meant for the whole
// platform, which has many services: it becomes the namespace that they have in common.
func telemetryEnv(environ []string) []string {
	var (
		env             []string
		name, described string
	)

	for _, variable := range environ {
		key, value, _ := strings.Cut(variable, "=")

		switch {
		case key == serviceNameVariable:
			name = value
		case key == "OTEL_RESOURCE_ATTRIBUTES":
			described = value
		case strings.HasPrefix(key, telemetryPrefix):
			env = append(env, variable)
		}
	}

	if name != "" && !strings.Contains(described, string(telemetry.ServiceNamespace)+"=") {
		described = strings.TrimPrefix(described+","+string(telemetry.ServiceNamespace)+"="+url.PathEscape(name), ",")
	}

	if described != "" {
		env = append(env, "OTEL_RESOURCE_ATTRIBUTES="+described)
	}

	return env
}
