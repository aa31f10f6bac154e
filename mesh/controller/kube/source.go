package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
)

// Source declares what the Agents and MCPServers of a namespace say. An Agent that is being deleted is not declared any
// more.
type Source struct {
	client    client.Reader
	namespace string

	// last says of which versions the last Read was; nil before the first.
	last *string

	mu      sync.Mutex
	seen    map[string]int64
	invalid map[string]agentspec.Problems
}

// Observed returns the generation of an Agent that was read last; 0 if it never was.
func (s *Source) Observed(agent string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.seen[agent]
}

// problems are what is wrong with an Agent that can't be taken as it is.
func (s *Source) problems(agent string) agentspec.Problems {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.invalid[agent]
}

// Forget has the next Read return everything again.
func (s *Source) Forget() { s.last = nil }

// Read returns what is declared, if any of it is of another version than before.
func (s *Source) Read(ctx context.Context) (*controller.Declarations, error) {
	agents, servers := &v1alpha1.AgentList{}, &v1alpha1.MCPServerList{}

	for _, list := range []client.ObjectList{agents, servers} {
		if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
			return nil, fmt.Errorf("list what is declared: %w", err)
		}
	}

	seen := generations(agents.Items)
	agents.Items = slices.DeleteFunc(agents.Items, func(a v1alpha1.Agent) bool { return !a.DeletionTimestamp.IsZero() })
	servers.Items = slices.DeleteFunc(servers.Items, func(m v1alpha1.MCPServer) bool { return !m.DeletionTimestamp.IsZero() })

	// A cache lists in no order.
	slices.SortFunc(agents.Items, func(a, b v1alpha1.Agent) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(servers.Items, func(a, b v1alpha1.MCPServer) int { return cmp.Compare(a.Name, b.Name) })

	s.note(func() { s.seen = seen })

	version, err := s.versionOf(ctx, agents.Items, servers.Items)
	if err != nil {
		return nil, err
	}

	if s.last != nil && version == *s.last {
		return nil, nil //nolint:nilnil // no news
	}

	read, err := s.declarations(ctx, agents.Items, servers.Items)
	if err != nil {
		return nil, err
	}

	s.last = &version
	s.note(func() { s.invalid = read.Invalid })

	return read, nil
}

func (s *Source) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()

	change()
}

// generations are those of all Agents: one that is deleted has a new one, and is observed as well.
func generations(agents []v1alpha1.Agent) map[string]int64 {
	seen := make(map[string]int64, len(agents))
	for i := range agents {
		seen[agents[i].Name] = agents[i].Generation
	}

	return seen
}

// versionOf changes with everything that is declared, and with nothing else.
func (s *Source) versionOf(ctx context.Context, agents []v1alpha1.Agent, servers []v1alpha1.MCPServer) (string, error) {
	version := &strings.Builder{}

	for i := range agents {
		one := &agents[i]
		fmt.Fprintln(version, one.UID, one.Generation, own(one.Annotations))

		if ref := one.Spec.Prompt.ConfigMapKeyRef; ref != nil {
			found, err := s.configMap(ctx, ref.Name)
			if err != nil {
				return "", err
			}

			fmt.Fprintln(version, found.UID, found.ResourceVersion)
		}
	}

	for i := range servers {
		fmt.Fprintln(version, servers[i].UID, servers[i].Generation)
	}

	return version.String(), nil
}

// configMap reads a ConfigMap; an empty one if there is none.
func (s *Source) configMap(ctx context.Context, name string) (*corev1.ConfigMap, error) {
	found := &corev1.ConfigMap{}

	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, found)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read ConfigMap %s: %w", name, err)
	}

	return found, nil
}

// own are the annotations that speak to Serin; others are for tools.
func own(annotations map[string]string) map[string]string {
	ours := map[string]string{}

	for name, value := range annotations {
		if strings.HasPrefix(name, v1alpha1.GroupVersion.Group+"/") {
			ours[name] = value
		}
	}

	return ours
}

// ConfigMapKey returns the text under a key, for [agentspec.ResolvePrompt]: agents and prompts are in one namespace.
func (s *Source) ConfigMapKey(ctx context.Context, _, name, key string) (string, bool, error) {
	found, err := s.configMap(ctx, name)
	if err != nil {
		return "", false, err
	}

	if text, ok := found.Data[key]; ok {
		return text, true, nil
	}

	binary, ok := found.BinaryData[key]

	return string(binary), ok, nil
}

// declarations resolves each agent by itself: what is wrong with one keeps no other from being taken.
func (s *Source) declarations(
	ctx context.Context, objects []v1alpha1.Agent, servers []v1alpha1.MCPServer,
) (*controller.Declarations, error) {
	read := &controller.Declarations{
		Invalid: map[string]agentspec.Problems{},
		Place:   func(agent string) string { return "agent/" + agent },
	}

	known := &known{entry: entryOf(objects)}
	for i := range objects {
		known.agents = append(known.agents, objects[i].Name)
	}

	for i := range servers {
		server := v1alpha1.FromServerObject(&servers[i])
		if problems := server.Validate(); len(problems) == 0 {
			read.Servers = append(read.Servers, server)
			known.servers = append(known.servers, server.Metadata.Name)
		}
	}

	// What an agent says of itself counts for those that hand over to it, whatever else is wrong with it.
	set := &agentspec.Set{Servers: read.Servers}
	for i := range objects {
		set.Agents = append(set.Agents, v1alpha1.FromObject(&objects[i]))
	}

	for i := range objects {
		agent, err := s.resolve(ctx, &objects[i], known)
		if problems, wrong := err.(agentspec.Problems); wrong { //nolint:errorlint // it is returned as it is
			read.Invalid[objects[i].Name] = placed(problems, objects[i].Name)
		} else if err != nil {
			return nil, fmt.Errorf("agent %s: %w", objects[i].Name, err)
		} else {
			read.Agents = append(read.Agents, set.Resolve(agent))
		}
	}

	return read, nil
}

// resolve returns an agent by itself. The error is [agentspec.Problems] if it can't be taken as it is.
func (s *Source) resolve(ctx context.Context, object *v1alpha1.Agent, known *known) (agentspec.Agent, error) {
	agent := v1alpha1.FromObject(object)
	agent.Metadata.Labels, agent.Metadata.Annotations = nil, own(object.Annotations)

	if problems := agent.Validate(); len(problems) > 0 {
		return agent, problems
	}

	if _, err := v1alpha1.PodTemplate(&agent.Spec.Pod); err != nil {
		return agent, err
	}

	if problems := known.problems(&agent); len(problems) > 0 {
		return agent, problems
	}

	return agentspec.ResolvePrompt(ctx, agent, s)
}

func placed(problems agentspec.Problems, agent string) agentspec.Problems {
	all := slices.Clone(problems)
	for i := range all {
		all[i].File = "agent/" + agent
	}

	return all
}
