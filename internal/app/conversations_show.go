package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func newConversationsShowCommand(env *Env) *cobra.Command {
	var (
		endpoint endpointFlags
		format   *outputFormat
	)

	command := &cobra.Command{
		Use:   "show ID",
		Short: "Show a conversation, what it used, and what was said in it",
		Example: `  serin conversations show c01j...
  serin conversations show c01j... -o yaml`,
		Args: oneArg("ID"),
		RunE: func(command *cobra.Command, args []string) error {
			return withClient(&endpoint, func(c *client) error {
				return showConversation(command.Context(), env, c, args[0], *format)
			})
		},
	}

	endpoint.register(command.Flags(), env)
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

func showConversation(ctx context.Context, env *Env, c *client, id string, format outputFormat) error {
	found, err := c.get(ctx, id)
	if err != nil {
		return err
	}

	events := []*eventv1.Event{}

	if err := eachEvent(ctx, c, id, 1, func(event *eventv1.Event) error {
		events = append(events, event)

		return nil
	}); err != nil {
		return err
	}

	if format != formatText {
		return printWhole(env, format, found, events)
	}

	printHead(env, found, events)

	renderer := newRenderer(env.Stdout, paint{env.colours()}, true)

	for _, event := range events {
		if err := renderer.event(event); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}

	return renderer.end()
}

func printWhole(env *Env, format outputFormat, found *conversationv1.Conversation, events []*eventv1.Event) error {
	sum, _ := usageOf(events)
	whole := struct {
		Conversation message   `json:"conversation"`
		Usage        message   `json:"usage"`
		Events       []message `json:"events"`
	}{Conversation: message{found}, Usage: message{sum}, Events: []message{}}

	for _, event := range events {
		whole.Events = append(whole.Events, message{event})
	}

	return printValue(env.Stdout, format, whole)
}

func printHead(env *Env, c *conversationv1.Conversation, events []*eventv1.Event) {
	p := paint{env.colours()}
	line := func(name, value string) {
		_, _ = fmt.Fprintf(env.Stdout, "%s %s\n", p.bold(fmt.Sprintf("%-13s", name+":")), oneLine(value)) // as the events that follow
	}

	line("conversation", c.GetConversationId())
	line("user", c.GetUser()+" of "+c.GetTenant())
	line("agent", c.GetAgent())
	line("state", turnState(c.GetActiveTurn()))
	line("opened", when(c.GetCreatedAt()))
	line("updated", when(c.GetUpdatedAt()))

	for _, agent := range slices.Sorted(maps.Keys(c.GetRevisions())) {
		line("revision", agent+" "+c.GetRevisions()[agent])
	}

	if sum, turns := usageOf(events); turns > 0 {
		line("used", usageText(sum, turns))
	}

	_, _ = fmt.Fprintln(env.Stdout)
}

// eachEvent passes the log on from a sequence, page by page.
func eachEvent(ctx context.Context, c *client, id string, from int64, show func(*eventv1.Event) error) error {
	for {
		page, err := c.events(ctx, id, from)
		if err != nil {
			return err
		}

		for _, event := range page.GetEvents() {
			if err := show(event); err != nil {
				return err
			}

			from = event.GetSequence() + 1
		}

		if len(page.GetEvents()) == 0 || from > page.GetVersion() {
			return nil
		}
	}
}
