package istio

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	appLabel = "app"
	gateway  = "serin-gateway"
)

// WithoutSidecars are annotations of a policy for pods without a sidecar: `istioctl analyze` takes only pods with one for
// workloads, and would say that the policy has none.
func WithoutSidecars() map[string]string {
	return map[string]string{"galley.istio.io/analyze-suppress": "IST0127"}
}

// Principal is a service account as its certificate names it, and as policies do.
func Principal(trustDomain, namespace, account string) string {
	return trustDomain + "/ns/" + namespace + "/sa/" + account
}

// operators may see what a process has of the mesh.
var operators = []string{"serin-operator", "serin-supervisor"}

// handoffPaths need a right, statusPaths are for operators, openPaths for everyone of the namespace.
var (
	handoffPaths = []string{"/serin.handoff.v1.HandoffService/Handoff"}
	statusPaths  = []string{"/envoy.service.status.v3.ClientStatusDiscoveryService/*"}
	openPaths    = []string{
		"/serin.handoff.v1.HandoffService/Describe",
		"/grpc.health.v1.Health/*",
		"/grpc.reflection.v1.ServerReflection/*",
		"/grpc.reflection.v1alpha.ServerReflection/*",
	}
)

// Authorize says who may hand conversations to the agent: the gateway and the callers, which are service accounts of the
// agent's namespace. Everyone of the namespace may describe the agent and ask for its health; operators may ask what it
// has of the mesh.
func (r *Router) Authorize(ctx context.Context, agent Agent, callers []string) error {
	policies := r.config.Client.SecurityV1().AuthorizationPolicies(agent.Namespace)

	err := retry(ctx, func() error {
		own, name, err := r.policies(ctx, agent)
		if err != nil {
			return err
		}

		if len(own) == 0 && name == "" {
			return fmt.Errorf("AuthorizationPolicies %s and %s are not Serin's (label %s: %s)",
				agent.Name, agent.reserve(), managedLabel, manager)
		}

		want := &security.AuthorizationPolicy{ObjectMeta: agent.meta(name)}
		want.Annotations = WithoutSidecars()
		r.config.allow(&want.Spec, agent, callers)

		switch {
		case len(own) == 0:
			_, err = policies.Create(ctx, want, metav1.CreateOptions{FieldManager: manager})
		case !equal(&own[0].Spec, &want.Spec):
			want.ObjectMeta = own[0].ObjectMeta
			_, err = policies.Update(ctx, want, metav1.UpdateOptions{FieldManager: manager})
		}

		if err != nil || len(own) < 2 {
			return err //nolint:wrapcheck // wrapped below
		}

		return r.revoke(ctx, own[1:])
	})
	if err != nil {
		return fmt.Errorf("agent %s: authorize: %w", agent.Name, err)
	}

	return nil
}

// policies reads the agent's AuthorizationPolicies that are Serin's: more than one if it once had to take another name. Free
// is a name that no policy has; empty if there is none.
func (r *Router) policies(ctx context.Context, agent Agent) (own []*security.AuthorizationPolicy, free string, err error) {
	for _, name := range []string{agent.Name, agent.reserve()} {
		policy, err := r.config.Client.SecurityV1().AuthorizationPolicies(agent.Namespace).Get(ctx, name, metav1.GetOptions{})

		switch {
		case apierrors.IsNotFound(err):
			free = cmp.Or(free, name)
		case err != nil:
			return nil, "", err //nolint:wrapcheck // the callers wrap it
		case created(policy):
			own = append(own, policy)
		}
	}

	return own, free, nil
}

// revoke deletes policies: each of them allows what it says as long as it is there.
func (r *Router) revoke(ctx context.Context, policies []*security.AuthorizationPolicy) error {
	for _, policy := range policies {
		client := r.config.Client.SecurityV1().AuthorizationPolicies(policy.Namespace)
		if err := gone(client.Delete(ctx, policy.Name, precisely(policy))); err != nil {
			return err
		}
	}

	return nil
}

func (c Config) allow(spec *securityapi.AuthorizationPolicy, agent Agent, callers []string) {
	accounts := slices.Compact(slices.Sorted(slices.Values(append([]string{gateway}, callers...))))

	spec.Selector = &typeapi.WorkloadSelector{MatchLabels: map[string]string{appLabel: agent.Name}}
	spec.Action = securityapi.AuthorizationPolicy_ALLOW
	spec.Rules = []*securityapi.Rule{
		rule(&securityapi.Source{Principals: c.principals(agent, accounts)}, handoffPaths),
		rule(&securityapi.Source{Principals: c.principals(agent, operators)}, statusPaths),
		rule(&securityapi.Source{Namespaces: []string{agent.Namespace}}, openPaths),
	}
}

// principals are service accounts of the agent's namespace as their certificates name them.
func (c Config) principals(agent Agent, accounts []string) []string {
	principals := make([]string, 0, len(accounts))
	for _, account := range accounts {
		principals = append(principals, Principal(c.TrustDomain, agent.Namespace, account))
	}

	return principals
}

func rule(from *securityapi.Source, paths []string) *securityapi.Rule {
	return &securityapi.Rule{
		From: []*securityapi.Rule_From{{Source: from}},
		To:   []*securityapi.Rule_To{{Operation: &securityapi.Operation{Paths: paths}}},
	}
}
