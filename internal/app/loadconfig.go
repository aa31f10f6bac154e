package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/configload"
)

// loadConfigParts are the parts that have a URL and a digest, each as a flag and as a variable of the environment.
var loadConfigParts = []struct {
	name, usage string
	source      func(*configload.Config) *configload.Source
}{
	{"prompt", "the system prompt, a text", func(c *configload.Config) *configload.Source { return &c.Prompt }},
	{"tools", "a list of tools, as in spec.tools, in JSON or YAML", func(c *configload.Config) *configload.Source { return &c.Tools }},
	{
		"guardrails", "guardrails, as in spec.guardrails, in JSON or YAML",
		func(c *configload.Config) *configload.Source { return &c.Guardrails },
	},
}

// agentRevisionVariable is what --revision falls back to.
const agentRevisionVariable = "AGENT_REVISION"

func newLoadConfigCommand(env *Env) *cobra.Command {
	var (
		config configload.Config
		format *outputFormat
	)

	command := &cobra.Command{
		Use:   "load-config",
		Short: "Fetch what an agent needs to know into a folder, as an init container does",
		Long: `Fetches an agent's prompt, tools and guardrails, verifies them, and writes them to a folder that the
agent's container mounts: system-prompt.txt, tools.json, guardrails.json and, with --agent, agent.json.
That is the agent's file with the parts in the place of what it says itself: what serin serve loads.

A source is a file, or a folder such as a mounted ConfigMap that has the part under its usual name
(system-prompt.txt, prompt.txt, prompt.md; tools.json, tools.yaml, tools.yml; guardrails likewise), or an
https:// URL with its digest. Nothing is written before everything is fetched and verified; the same
again changes nothing. Proxies are not used, and redirects do not lead out of https.

Exit codes: 0 done, 1 a store could not be reached, or the folder not be written to, 2 the command line
or what was fetched is not right. What went wrong is one line: the part, its source, and what would be right.`,
		Example: `  serin load-config --prompt file:///etc/prompts/billing.txt --out /config
  serin load-config --agent billing.yaml --prompt https://config.example.com/billing.txt \
    --prompt-digest sha256:$(sha256sum < billing.txt | cut -d' ' -f1) --out /config -o json
  PROMPT_URL=https://config.example.com/billing.txt serin load-config --unpinned --out /config`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if command.Flags().Changed("timeout") && config.Timeout <= 0 {
				return usageErrorf("--timeout %s: must be more than 0, such as 30s", config.Timeout)
			}

			fillLoadConfig(env, &config)

			return loadConfig(command.Context(), env, config, *format)
		},
	}

	flags := command.Flags()

	for _, part := range loadConfigParts {
		source := part.source(&config)
		flags.StringVar(&source.URL, part.name, "", fmt.Sprintf("file:// or https:// URL of %s (%s)", part.usage, urlVariable(part.name)))
		flags.StringVar(&source.Digest, part.name+"-digest", "",
			fmt.Sprintf("sha256:... that it must have; required with https (%s)", digestVariable(part.name)))
	}

	flags.StringVar(&config.Agent, "agent", "", "file of an agent that the parts are put into")
	flags.StringVar(&config.Name, "name", "", "which agent of the file, if it has several")
	flags.StringVar(&config.Revision, "revision", "", "revision that the outcome must be, 12 to 64 hex digits ("+agentRevisionVariable+")")
	flags.StringVar(&config.Out, "out", "/config", "folder to write to")
	flags.DurationVar(&config.Timeout, "timeout", 30*time.Second, "how long fetching may take, tries again included")
	flags.BoolVar(&config.Unpinned, "unpinned", false, "fetch without a digest what comes over a network")
	flags.BoolVar(&config.AllowHTTP, "allow-http", false, "allow http:// URLs, which are not encrypted")
	flags.BoolVar(&config.AllowPrivate, "allow-private", false, "allow addresses of this machine and of private networks")
	format = outputFlag(flags, formatText, formatJSON, formatYAML)

	return command
}

func urlVariable(part string) string    { return strings.ToUpper(part) + "_URL" }
func digestVariable(part string) string { return strings.ToUpper(part) + "_DIGEST" }

// fillLoadConfig takes from the environment what the command line leaves open.
func fillLoadConfig(env *Env, config *configload.Config) {
	for _, part := range loadConfigParts {
		source := part.source(config)
		source.URL = cmp.Or(source.URL, env.get(urlVariable(part.name)))
		source.Digest = cmp.Or(source.Digest, env.get(digestVariable(part.name)))
	}

	if config.Agent != "" {
		config.Revision = cmp.Or(config.Revision, env.get(agentRevisionVariable))
	}
}

func loadConfig(ctx context.Context, env *Env, config configload.Config, format outputFormat) error {
	service, err := configload.New(config)
	if err != nil {
		return byFlags(err)
	}

	result, err := service.Run(ctx)
	if err != nil {
		return err
	}

	if format != formatText {
		return printValue(env.Stdout, format, result)
	}

	rows := make([][]string, len(result.Files))

	for i, loaded := range result.Files {
		state := "unchanged"
		if loaded.Changed {
			state = "written"
		}

		rows[i] = []string{loaded.Part, loaded.Source, cmp.Or(loaded.Digest, "revision "+result.Revision), loaded.File, state}
	}

	return printTable(env, []string{"PART", "SOURCE", "DIGEST", "FILE", "STATE"}, rows)
}

// byFlags names the flags in the place of fields.
func byFlags(err error) error {
	invalid, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}

	texts := make([]string, len(invalid.Violations))
	for i, violation := range invalid.Violations {
		texts[i] = "--" + strings.ReplaceAll(violation.Field, ".", "-") + ": " + violation.Message
	}

	return usageErrorf("%s (see serin load-config --help)", strings.Join(texts, "; "))
}
