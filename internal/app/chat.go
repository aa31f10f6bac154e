package app

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// chatOptions are the flags of serin chat.
type chatOptions struct {
	endpoint     endpointFlags
	conversation string
	agent        string
	comment      string
	answers      map[eventv1.Decision]*string
	message      string
	format       *outputFormat
}

// decisions are what a person can answer, in the order of the help.
func decisions() []eventv1.Decision {
	return []eventv1.Decision{
		eventv1.Decision_DECISION_APPROVE, eventv1.Decision_DECISION_REJECT,
		eventv1.Decision_DECISION_HAPPENED, eventv1.Decision_DECISION_DID_NOT_HAPPEN,
	}
}

func newChatCommand(env *Env) *cobra.Command {
	options := &chatOptions{answers: map[eventv1.Decision]*string{}}

	command := &cobra.Command{
		Use:   "chat [MESSAGE...]",
		Short: "Talk to agents",
		Long: `Sends a message and shows what happens as it happens: text, tool calls, handoffs, questions.
Without a message, on a terminal, it is a dialogue. A turn goes on when its reader is gone, and
a cut connection is made again without losing anything.

Ctrl-C cancels the turn; once more, or while nothing runs, it leaves.`,
		Example: `  serin chat "My invoice was charged twice, please refund it"
  serin chat                                        # a dialogue; /quit or Ctrl-D leaves
  serin chat --conversation c01j... "And tomorrow?" # goes on
  serin chat --conversation c01j... --approve t01j...-2-1-0
  serin chat -o json "Hello" | jq .                 # every event as a line of JSON`,
		RunE: func(command *cobra.Command, args []string) error {
			options.message = strings.TrimSpace(strings.Join(args, " "))

			return runChat(command.Context(), env, options, len(args) > 0)
		},
	}

	flags := command.Flags()
	options.endpoint.register(flags, env)
	flags.StringVar(&options.conversation, "conversation", "", "go on with this conversation instead of a new one")
	flags.StringVar(&options.agent, "agent", "", "agent that meets a new conversation (default: the one marked entry)")
	flags.StringVar(&options.comment, "comment", "", "with a decision: why; the agent reads it after a rejection")

	for _, decision := range decisions() {
		options.answers[decision] = flags.String(flagName(decision), "", "decide about this call: "+decided(decision))
	}

	options.format = outputFlag(flags, formatText, formatJSON, formatYAML)

	return command
}

// answer returns the decision that the flags make; the call is empty if they make none.
func (o *chatOptions) answer() (decision eventv1.Decision, call string, err error) {
	for _, possible := range decisions() {
		if named := *o.answers[possible]; named != "" {
			if call != "" {
				return 0, "", usageErrorf("--%s and --%s: one decision at a time", flagName(decision), flagName(possible))
			}

			decision, call = possible, named
		}
	}

	return decision, call, nil
}

// check refuses flags that do not go together.
func (o *chatOptions) check(env *Env, hasMessage bool) error {
	_, call, err := o.answer()

	switch {
	case err != nil:
		return err
	case call != "" && (o.conversation == "" || hasMessage):
		return usageErrorf("a decision needs --conversation, and takes no message")
	case o.comment != "" && call == "":
		return usageErrorf("--comment goes with a decision, such as --reject CALL")
	case o.agent != "" && o.conversation != "":
		return usageErrorf("--agent is for new conversations; %s has its agent", o.conversation)
	case hasMessage && o.message == "":
		return usageErrorf("the message is empty")
	case call == "" && !hasMessage && !env.IsTerminal:
		return usageErrorf("no message given, and no terminal to ask for one: serin chat MESSAGE")
	default:
		return nil
	}
}

// runChat finds the conversation, then sends, decides or talks.
func runChat(ctx context.Context, env *Env, options *chatOptions, hasMessage bool) error {
	if err := options.check(env, hasMessage); err != nil {
		return err
	}

	at, err := options.endpoint.find()
	if err != nil {
		return err
	}

	talk := newTalk(ctx, env, newClient(at), options)
	defer talk.close()

	if err := talk.begin(options); err != nil {
		return err
	}

	decision, call, _ := options.answer() // checked above

	switch {
	case call != "":
		return talk.decide(call, decision, options.comment)
	case hasMessage:
		return talk.say(options.message)
	default:
		return talk.dialogue()
	}
}
