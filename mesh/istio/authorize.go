package istio

import (
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

// handoffPaths need a right; openPaths are for everyone of the namespace.
var (
	handoffPaths = []string{"/serin.handoff.v1.HandoffService/Handoff"}
	openPaths    = []string{
		"/serin.handoff.v1.HandoffService/Describe",
		"/grpc.health.v1.Health/*",
		"/grpc.reflection.v1.ServerReflection/*",
		"/grpc.reflection.v1alpha.ServerReflection/*",
	}
)

// Authorize says who may hand conversations to the agent: the gateway and the callers, which are service accounts of the
// agent's namespace. Everyone of the namespace may describe the agent and ask for its health.
func (r *Router) Authorize(ctx context.Context, agent Agent, callers []string) error {
	policies := r.config.Client.SecurityV1().AuthorizationPolicies(agent.Namespace)

	err := retry(ctx, func() error {
		policy, name, err := r.policy(ctx, agent)
		if err != nil {
			return err
		}

		want := &security.AuthorizationPolicy{ObjectMeta: agent.meta(name)}
		r.config.allow(&want.Spec, agent, callers)

		switch {
		case policy == nil:
			_, err = policies.Create(ctx, want, metav1.CreateOptions{FieldManager: manager})
		case !equal(&policy.Spec, &want.Spec):
			want.ObjectMeta = policy.ObjectMeta
			_, err = policies.Update(ctx, want, metav1.UpdateOptions{FieldManager: manager})
		}

		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return fmt.Errorf("agent %s: authorize: %w", agent.Name, err)
	}

	return nil
}

// policy reads the agent's AuthorizationPolicy; nil, with a name for it, if there is none of Serin's.
func (r *Router) policy(ctx context.Context, agent Agent) (*security.AuthorizationPolicy, string, error) {
	policies := r.config.Client.SecurityV1().AuthorizationPolicies(agent.Namespace)

	for _, name := range []string{agent.Name, agent.reserve()} {
		policy, err := policies.Get(ctx, name, metav1.GetOptions{})

		switch {
		case apierrors.IsNotFound(err):
			return nil, name, nil
		case err != nil:
			return nil, name, err //nolint:wrapcheck // the callers wrap it
		case policy.Labels[managedLabel] == manager:
			return policy, name, nil
		}
	}

	return nil, "", fmt.Errorf("AuthorizationPolicies %s and %s are not Serin's (label %s: %s)",
		agent.Name, agent.reserve(), managedLabel, manager)
}

func (c Config) allow(spec *securityapi.AuthorizationPolicy, agent Agent, callers []string) {
	accounts := slices.Compact(slices.Sorted(slices.Values(append([]string{gateway}, callers...))))

	principals := make([]string, 0, len(accounts))
	for _, account := range accounts {
		principals = append(principals, c.TrustDomain+"/ns/"+agent.Namespace+"/sa/"+account)
	}

	spec.Selector = &typeapi.WorkloadSelector{MatchLabels: map[string]string{appLabel: agent.Name}}
	spec.Action = securityapi.AuthorizationPolicy_ALLOW
	spec.Rules = []*securityapi.Rule{
		rule(&securityapi.Source{Principals: principals}, handoffPaths),
		rule(&securityapi.Source{Namespaces: []string{agent.Namespace}}, openPaths),
	}
}

func rule(from *securityapi.Source, paths []string) *securityapi.Rule {
	return &securityapi.Rule{
		From: []*securityapi.Rule_From{{Source: from}},
		To:   []*securityapi.Rule_To{{Operation: &securityapi.Operation{Paths: paths}}},
	}
}
