package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/deploy/local"
	"github.com/serinhq/serin/internal/agentspec"
)

func newAgentsCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:     "agents",
		Aliases: []string{"agent"},
		Short:   "Check and list agent files",
		Example: `  serin agents validate ./agents
  serin agents list -f ./agents`,
	}
	command.AddCommand(newAgentsValidateCommand(env), newAgentsListCommand(env))

	return command
}

func newAgentsValidateCommand(env *Env) *cobra.Command {
	var format *outputFormat

	command := &cobra.Command{
		Use:   "validate DIR",
		Short: "Check agent files without running them",
		Long: `Reads the *.yaml and *.yml files of a folder, or one file, and says everything that is
wrong with them: file, line, column, field, and what is allowed there.

Exit codes: 0 all is right, 2 something is not.`,
		Example: `  serin agents validate ./agents
  serin agents validate ./agents -o json`,
		Args: oneArg("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			return validateAgents(env, args[0], *format)
		},
	}
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

func newAgentsListCommand(env *Env) *cobra.Command {
	var (
		dir    string
		format *outputFormat
	)

	command := &cobra.Command{
		Use:   "list",
		Short: "List the agents of a folder with their revisions",
		Example: `  serin agents list                # the example agents
  serin agents list -f ./agents
  serin agents list -f ./agents -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return listAgents(env, dir, *format)
		},
	}
	command.Flags().StringVarP(&dir, "file", "f", "", "folder of agent files, or one file (default: the example agents)")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

// agentSummary is an agent as lists show it.
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
		summary := agentSummary{
			Name: agent.Metadata.Name, Revision: agentspec.Revision(agent), Entry: agent.Spec.Entry,
			Model: agent.Spec.Model.Name, Description: agent.Spec.Description, File: origin.File, Line: origin.Line,
			Tools: []string{}, Handoffs: []string{},
		}

		for _, tool := range agent.Spec.Tools {
			summary.Tools = append(summary.Tools, tool.Name)
		}

		for _, handoff := range agent.Spec.Handoffs {
			summary.Handoffs = append(summary.Handoffs, handoff.Agent)
		}

		summaries[i] = summary
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
	set, err := agentspec.Load(dir)
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

func listAgents(env *Env, dir string, format outputFormat) error {
	set, err := loadAgents(dir)
	if err != nil {
		return err
	}

	summaries := summarize(set)
	if format != formatText {
		return printValue(env.Stdout, format, struct {
			Agents []agentSummary `json:"agents"`
		}{summaries})
	}

	rows := make([][]string, len(summaries))
	for i, agent := range summaries {
		entry := ""
		if agent.Entry {
			entry = "yes"
		}

		rows[i] = []string{
			agent.Name, agentspec.Short(agent.Revision), entry, agent.Model, cmp.Or(strings.Join(agent.Tools, ","), "-"),
			cmp.Or(strings.Join(agent.Handoffs, ","), "-"), agent.File,
		}
	}

	return printTable(env, []string{"AGENT", "REVISION", "ENTRY", "MODEL", "TOOLS", "HANDOFFS", "FILE"}, rows)
}
