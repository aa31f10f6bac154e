package app

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serinhq/serin/loadtest"
)

// loadOptions are the flags that all scenarios have.
type loadOptions struct {
	endpoint  endpointFlags
	rate      float64
	duration  time.Duration
	agent     string
	arrivals  string
	turns     int
	think     time.Duration
	dialogues string
	seed      uint64
	maxOpen   int
	timeout   time.Duration
	audit     bool
	bars      []string
	html      string
	quiet     bool
	format    *outputFormat
}

func (o *loadOptions) register(command *cobra.Command, env *Env, think time.Duration) {
	flags := command.Flags()
	o.endpoint.register(flags, env)
	flags.Float64Var(&o.rate, "rate", 10, "new conversations per second")
	flags.StringVar(&o.agent, "agent", "", "agent that meets the conversations (default: the one marked entry)")
	flags.StringVar(&o.arrivals, "arrivals", string(loadtest.Poisson), "how conversations are spread: poisson, uniform")
	flags.IntVar(&o.turns, "turns", 5, "messages of each conversation")
	flags.DurationVar(&o.think, "think", think, "time between an answer and the next message, on average")
	flags.StringVar(&o.dialogues, "dialogues", "", "file with what is said: a message per line, an empty line between dialogues")
	flags.Uint64Var(&o.seed, "seed", 0, "makes arrivals and dialogues repeatable")
	flags.IntVar(&o.maxOpen, "max-open", 10_000, "conversations that may be open at once; more wait, and their latency counts")
	flags.DurationVar(&o.timeout, "turn-timeout", time.Minute, "a turn that has not ended by then failed")
	flags.BoolVar(&o.audit, "audit", true, "read every log again at its end, and compare it with what was streamed")
	flags.StringArrayVar(&o.bars, "bar", nil, "the most that something may be, such as failed=0 or p99=500ms; see below")
	flags.StringVar(&o.html, "html", "", "write a page with plots to this file")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "show no progress")
	o.format = outputFlag(flags, formatText, formatJSON, formatYAML)

	command.Args = cobra.NoArgs
	command.Long += "\n\nBars, by default " + barList(loadtest.DefaultBars()) + ":\n" + barHelp()
}

func (o *loadOptions) registerDuration(flags *pflag.FlagSet, standard time.Duration) {
	flags.DurationVar(&o.duration, "duration", standard, "how long conversations go on beginning")
}

func barList(bars []loadtest.Bar) string {
	words := make([]string, len(bars))
	for i, bar := range bars {
		words[i] = fmt.Sprintf("%s=%v", bar.Name, bar.Most)
	}

	return strings.Join(words, " ")
}

func barHelp() string {
	help := &strings.Builder{}
	for _, name := range loadtest.BarNames() {
		_, _ = fmt.Fprintf(help, "  %-16s %s\n", name[0], name[1]) // a builder takes everything
	}

	return strings.TrimSuffix(help.String(), "\n")
}

// config completes the scenario, and finds the gateway.
func (o *loadOptions) config(scenario loadtest.Scenario) (loadtest.Config, error) {
	at, err := o.endpoint.find()
	if err != nil {
		return loadtest.Config{}, err
	}

	scenario.Agent, scenario.Turns, scenario.Think = o.agent, o.turns, o.think
	scenario.Arrivals = loadtest.Arrivals(o.arrivals)

	if o.turns < 1 || o.maxOpen < 1 || o.timeout <= 0 {
		return loadtest.Config{}, usageErrorf("--turns, --max-open and --turn-timeout must be more than 0")
	}

	if o.dialogues != "" {
		if scenario.Dialogues, err = readDialogues(o.dialogues); err != nil {
			return loadtest.Config{}, err
		}
	}

	return loadtest.Config{
		URL: at.String(), Token: at.token, Scenario: scenario, Seed: o.seed, MaxOpen: o.maxOpen,
		TurnTimeout: o.timeout, Audit: o.audit,
	}, nil
}

func readDialogues(path string) ([]loadtest.Dialogue, error) {
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, usageErrorf("--dialogues: %w", err)
	}
	defer file.Close() //nolint:errcheck // nothing was written

	dialogues, err := loadtest.ParseDialogues(file)
	if err != nil {
		return nil, usageErrorf("--dialogues %s: %w", path, err)
	}

	return dialogues, nil
}

// judged are the scenario's bars with those of the command line.
func (o *loadOptions) judged(bars []loadtest.Bar) ([]loadtest.Bar, error) {
	for _, text := range o.bars {
		bar, err := loadtest.ParseBar(text)
		if err != nil {
			return nil, usageErrorf("--bar: %w", err)
		}

		bars = loadtest.WithBars(bars, bar)
	}

	return bars, nil
}
