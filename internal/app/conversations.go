package app

import (
	"github.com/spf13/cobra"
)

func newConversationsCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:     collection,
		Aliases: []string{"conversation"},
		Short:   "Look at conversations, and delete them",
		Example: `  serin conversations list
  serin conversations show c01j...
  serin conversations events c01j... --follow
  serin conversations purge --older-than 90d`,
	}
	command.AddCommand(
		newConversationsListCommand(env),
		newConversationsShowCommand(env),
		newConversationsEventsCommand(env),
		newConversationsDeleteCommand(env),
		newConversationsPurgeCommand(env),
	)

	return command
}

// withClient runs something with a client for the flags' endpoint.
func withClient(flags *endpointFlags, run func(*client) error) error {
	at, err := flags.find()
	if err != nil {
		return err
	}

	c := newClient(at)
	defer c.close()

	return run(c)
}
