package app

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/services/tools/demo"
)

func newDemoCommand(env *Env) *cobra.Command {
	var set, data string

	toolsCommand := &cobra.Command{
		Use:   "tools",
		Short: "Serve the demo tools (invoices, refunds, calendar) over MCP on standard input and output",
		Example: `  serin demo tools --set billing --data /tmp/demo
  # in an agent directory:
  # kind: MCPServer
  # spec: {command: [serin, demo, tools, --set, billing]}`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return demo.Run(command.Context(), demo.Config{Set: set, Data: data})
		},
	}
	toolsCommand.Flags().StringVar(&set, "set", "all", "which tools: billing, calendar or all")
	toolsCommand.Flags().StringVar(&data, "data", cmp.Or(env.Getenv("SERIN_DEMO_DATA"), ".serin/demo"),
		"directory of the demo's records")

	command := &cobra.Command{Use: "demo", Short: "Things that the example agents use"}
	command.AddCommand(toolsCommand)

	return command
}
