package app

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/deploy/local"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/services/tools"
)

func newAgentsCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:     "agents",
		Aliases: []string{"agent"},
		Short:   "Check and list agent files",
		Example: `  serin agents validate ./agents
  serin agents list -f ./agents
  serin agents list -n agents      # of a cluster`,
	}
	command.AddCommand(newAgentsValidateCommand(env), newAgentsListCommand(env))

	return command
}

func newAgentsValidateCommand(env *Env) *cobra.Command {
	var (
		format *outputFormat
		mesh   string
	)

	command := &cobra.Command{
		Use:   "validate DIR",
		Short: "Check agent files without running them",
		Long: `Reads the *.yaml and *.yml files of a folder, or one file, and says everything that is
wrong with them: file, line, column, field, and what is allowed there. Tool servers are not
asked, but what their declarations say of requests is looked at: schemas, OpenAPI documents, and
addresses that would be refused.

With --mesh proxyless it takes any number of files and folders, and Istio's objects among them:
it says which of their fields proxyless gRPC clients and servers ignore (such as mirror and
outlierDetection), which make them refuse everything around them (such as corsPolicy), and which
policies let everyone in. What is no more than risky is told, and is no failure.

Exit codes: 0 all is right, 2 something is not.`,
		Example: `  serin agents validate ./agents
  serin agents validate ./agents -o json
  serin agents validate --mesh proxyless ./agents ./mesh/billing.yaml`,
		Args: func(command *cobra.Command, args []string) error {
			if mesh != "" && len(args) > 0 {
				return nil
			}

			return oneArg("DIR")(command, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			switch mesh {
			case "":
				return validateAgents(env, args[0], *format)
			case meshProxyless:
				return validateMesh(env, args, *format)
			default:
				return usageErrorf("--mesh %q: want %s; what Envoys do with an object, istioctl analyze says", mesh, meshProxyless)
			}
		},
	}
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)
	command.Flags().StringVar(&mesh, "mesh", "", "check Istio's objects too, for this kind of mesh: "+meshProxyless)

	return command
}

// agentSummary is an agent of a file as lists show it.
type agentSummary struct {
	Name        string   `json:"name"`
	Revision    string   `json:"revision"`
	Entry       bool     `json:"entry"`
	Model       string   `json:"model"`
	Description string   `json:"description"`
	Tools       []string `json:"tools"`
	Handoffs    []string `json:"handoffs"`
	File        string   `json:"file"`
	Line        int      `json:"line"`
}

func summarize(set *agentspec.Set) []agentSummary {
	summaries := make([]agentSummary, len(set.Agents))

	for i, agent := range set.Agents {
		origin := set.Origin(agentspec.KindAgent, agent.Metadata.Name)
		summaries[i] = agentSummary{
			Name: agent.Metadata.Name, Revision: agentspec.Revision(agent), Entry: agent.Spec.Entry,
			Model: agent.Spec.Model.Name, Description: agent.Spec.Description, File: origin.File, Line: origin.Line,
			Tools: toolNames(agent.Spec), Handoffs: handoffNames(agent.Spec),
		}
	}

	return summaries
}

// validation is what -o json and yaml print.
type validation struct {
	Valid    bool               `json:"valid"`
	Problems agentspec.Problems `json:"problems"`
	Agents   []agentSummary     `json:"agents"`
	Servers  int                `json:"servers"`
}

func validateAgents(env *Env, dir string, format outputFormat) error {
	set, err := loadChecked(dir)
	if err != nil {
		if format != formatText {
			found := validation{Problems: agentspec.Problems{}, Agents: []agentSummary{}}
			_ = errors.As(err, &found.Problems) // it is nothing else

			return errors.Join(err, printValue(env.Stdout, format, found))
		}

		return err
	}

	if format != formatText {
		return printValue(env.Stdout, format, validation{
			Valid: true, Problems: agentspec.Problems{}, Agents: summarize(set), Servers: len(set.Servers),
		})
	}

	p := paint{env.colours()}
	for _, agent := range summarize(set) {
		if _, err := fmt.Fprintf(env.Stdout, "%s %s %s\n", p.good("ok"), agent.Name, p.dim(agentspec.Short(agent.Revision))); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}

	return write(env.Stdout, fmt.Appendf(nil, "%s and %s: nothing to object to\n",
		count(len(set.Agents), "agent"), count(len(set.Servers), "tool server")))
}

// loadChecked loads a folder, and has whoever runs tool servers look at their declarations too.
func loadChecked(dir string) (*agentspec.Set, error) {
	set, err := agentspec.Load(dir)
	if err != nil {
		return nil, err
	}

	return set, checkServers(set).Err()
}

func checkServers(set *agentspec.Set) agentspec.Problems {
	problems := make(agentspec.Problems, 0, len(set.Servers))

	for i := range set.Servers {
		found := tools.Check(&set.Servers[i])
		problems = append(problems, set.Placed(agentspec.KindMCPServer, set.Servers[i].Metadata.Name, found)...)
	}

	return problems.Sorted()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}

	return fmt.Sprintf("%d %ss", n, what)
}

// loadAgents loads a folder, or the example agents if none is named.
func loadAgents(dir string) (*agentspec.Set, error) {
	if dir != "" {
		return agentspec.Load(dir)
	}

	examples, err := fs.Sub(local.Agents, "agents")
	if err != nil {
		return nil, fmt.Errorf("read the example agents: %w", err)
	}

	return agentspec.LoadFS(examples, "(examples)")
}
