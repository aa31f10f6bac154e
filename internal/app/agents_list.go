package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/internal/agentspec"
)

// unaskedTimeout is how long a cluster that nobody named may take to answer.
const unaskedTimeout = 5 * time.Second

// agentsList are the flags of serin agents list.
type agentsList struct {
	file    string
	cluster clusterFlags
	format  *outputFormat
}

func newAgentsListCommand(env *Env) *cobra.Command {
	options := &agentsList{}
	command := &cobra.Command{
		Use:   "list",
		Short: "List the agents of a folder, and of a cluster, with their revisions",
		Long: `Lists the agents of files, and those of a cluster with where their rollouts are. -f asks for files,
--context, -n and --kubeconfig ask for a cluster. Without any of them it lists the example agents
and, where there is a kubeconfig, the agents of its current context.`,
		Example: `  serin agents list                # the example agents, and those of the current context
  serin agents list -f ./agents
  serin agents list -n agents -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command, env)
		},
	}
	command.Flags().StringVarP(&options.file, "file", "f", "", "folder of agent files, or one file (default: the example agents)")
	options.cluster.register(command.Flags())
	options.format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

// listedFile and listedObject are agents with where they are from.
type listedFile struct {
	agentSummary

	Source string `json:"source"`
}

type listedObject struct {
	clusterAgent

	Source string `json:"source"`
}

// clusterAgent is an agent of a cluster as lists show it.
type clusterAgent struct {
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Context     string   `json:"context"`
	Stable      string   `json:"stable"`
	Candidate   string   `json:"candidate"`
	Weight      int32    `json:"weight"`
	Phase       string   `json:"phase"`
	Entry       bool     `json:"entry"`
	Model       string   `json:"model"`
	Description string   `json:"description"`
	Tools       []string `json:"tools"`
	Handoffs    []string `json:"handoffs"`
}

func (l *agentsList) run(command *cobra.Command, env *Env) error {
	named := slices.ContainsFunc([]string{flagContext, flagNamespace, flagKubeconfig}, command.Flags().Changed)
	named = named || l.file == "" && (env.plugin() || env.get("SERIN_CONTEXT") != "")

	var files []agentSummary

	if l.file != "" || !named {
		set, err := loadAgents(l.file)
		if err != nil {
			return err
		}

		files = summarize(set)
	}

	found, agents, err := l.fromCluster(command.Context(), env, named)
	if err != nil {
		return err
	}

	if *l.format != formatText {
		return l.print(env, files, agents)
	}

	if files != nil {
		if err := printFiles(env, files); err != nil {
			return err
		}
	}

	if found == nil {
		return nil
	}

	gap := ""
	if files != nil {
		gap = "\n"
	}

	if err := write(env.Stdout, fmt.Appendf(nil, "%sIn %s:\n", gap, found)); err != nil {
		return err
	}

	return printClusterAgents(env, agents)
}

// fromCluster returns the cluster and its agents; no cluster if none is asked for or, unless it is named, can be reached.
func (l *agentsList) fromCluster(ctx context.Context, env *Env, named bool) (*cluster, []clusterAgent, error) {
	if !named && (l.file != "" || !l.cluster.exists(env)) {
		return nil, nil, nil
	}

	timeout := unaryTimeout
	if !named {
		timeout = unaskedTimeout
	}

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	found, agents, err := l.readCluster(ctx, env)
	if err == nil || named {
		return found, agents, err
	}

	_, err = fmt.Fprintf(env.Stderr, "no cluster is listed: %s\n", printable(err.Error()))

	return nil, nil, err //nolint:wrapcheck // nobody is left to read it
}

func (l *agentsList) readCluster(ctx context.Context, env *Env) (*cluster, []clusterAgent, error) {
	at, err := l.cluster.find(env)
	if err != nil {
		return nil, nil, err
	}

	client, err := newClusterClient(at)
	if err != nil {
		return nil, nil, err
	}
	defer client.close()

	objects, err := client.agents(ctx)
	if err != nil {
		return nil, nil, err
	}

	agents := make([]clusterAgent, len(objects))

	for i, object := range objects {
		agents[i] = clusterAgent{
			Name: object.Name, Namespace: object.Namespace, Context: at.context, Stable: object.Status.Stable,
			Candidate: object.Status.Candidate, Phase: object.Status.Phase, Entry: object.Spec.Entry,
			Model: object.Spec.Model.Name, Description: object.Spec.Description,
			Tools: toolNames(object.Spec), Handoffs: handoffNames(object.Spec),
		}
		if object.Status.Weight != nil {
			agents[i].Weight = *object.Status.Weight
		}
	}

	return at, agents, nil
}

func toolNames(spec agentspec.AgentSpec) []string {
	names := make([]string, 0, len(spec.Tools))
	for _, tool := range spec.Tools {
		names = append(names, tool.Name)
	}

	return names
}

func handoffNames(spec agentspec.AgentSpec) []string {
	names := make([]string, 0, len(spec.Handoffs))
	for _, handoff := range spec.Handoffs {
		names = append(names, handoff.Agent)
	}

	return names
}

func (l *agentsList) print(env *Env, files []agentSummary, agents []clusterAgent) error {
	all := make([]any, 0, len(files)+len(agents))

	for _, agent := range files {
		all = append(all, listedFile{agent, "file"})
	}

	for _, agent := range agents {
		all = append(all, listedObject{agent, "cluster"})
	}

	return printValue(env.Stdout, *l.format, map[string]any{"agents": all})
}

func printFiles(env *Env, agents []agentSummary) error {
	rows := make([][]string, len(agents))
	for i, agent := range agents {
		rows[i] = []string{
			agent.Name, agentspec.Short(agent.Revision), yes(agent.Entry), agent.Model, listed(agent.Tools), listed(agent.Handoffs), agent.File,
		}
	}

	return printTable(env, []string{"AGENT", "REVISION", "ENTRY", "MODEL", "TOOLS", "HANDOFFS", "FILE"}, rows)
}

func printClusterAgents(env *Env, agents []clusterAgent) error {
	rows := make([][]string, len(agents))

	for i, agent := range agents {
		weight := "-"
		if agent.Candidate != "" {
			weight = fmt.Sprintf("%d%%", agent.Weight)
		}

		rows[i] = []string{
			agent.Name, cmp.Or(agent.Stable, "-"), cmp.Or(agent.Candidate, "-"), weight, cmp.Or(agent.Phase, "-"), yes(agent.Entry),
			cmp.Or(agent.Model, "-"), listed(agent.Tools), listed(agent.Handoffs),
		}
	}

	return printTable(env, []string{"AGENT", "STABLE", "CANDIDATE", "WEIGHT", "PHASE", "ENTRY", "MODEL", "TOOLS", "HANDOFFS"}, rows)
}

func yes(is bool) string {
	if is {
		return "yes"
	}

	return ""
}

func listed(names []string) string { return cmp.Or(strings.Join(names, ","), "-") }
