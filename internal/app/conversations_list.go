package app

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
)

// pageSize is how many conversations one call asks for.
const pageSize = 200

func newConversationsListCommand(env *Env) *cobra.Command {
	var (
		endpoint endpointFlags
		limit    int
		format   *outputFormat
	)

	command := &cobra.Command{
		Use:   "list",
		Short: "List conversations, newest first",
		Example: `  serin conversations list
  serin conversations list --limit 500 -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageErrorf("--limit %d: want at least 1", limit)
			}

			return withClient(&endpoint, func(c *client) error {
				found, err := listConversations(command.Context(), c, limit)
				if err != nil {
					return err
				}

				return printConversations(env, *format, found)
			})
		},
	}

	endpoint.register(command.Flags(), env)
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

func listConversations(ctx context.Context, c *client, limit int) (*conversationv1.ListConversationsResponse, error) {
	all, page := &conversationv1.ListConversationsResponse{}, ""

	for len(all.GetConversations()) < limit {
		found, err := c.list(ctx, min(pageSize, limit-len(all.GetConversations())), page)
		if err != nil {
			return nil, err
		}

		all.Conversations = append(all.Conversations, found.GetConversations()...)
		all.NextPageToken = found.GetNextPageToken()

		if page = found.GetNextPageToken(); page == "" {
			break
		}
	}

	return all, nil
}

func printConversations(env *Env, format outputFormat, found *conversationv1.ListConversationsResponse) error {
	if format != formatText {
		return printValue(env.Stdout, format, found)
	}

	rows := make([][]string, len(found.GetConversations()))
	for i, c := range found.GetConversations() {
		rows[i] = []string{
			c.GetConversationId(), c.GetAgent(), turnState(c.GetActiveTurn()), c.GetUser(), when(c.GetUpdatedAt()),
		}
	}

	return printTable(env, []string{"CONVERSATION", "AGENT", "STATE", "USER", "UPDATED"}, rows)
}

// turnState is what a conversation is doing, as people say it: idle, running, input required.
func turnState(turn *conversationv1.Turn) string {
	if turn == nil {
		return "idle"
	}

	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(turn.GetState().String(), "TURN_STATE_")), "_", " ")
}

func when(at *timestamppb.Timestamp) string { return localTime(at, time.DateTime) }

func localTime(at *timestamppb.Timestamp, layout string) string {
	if at == nil {
		return "-"
	}

	return at.AsTime().Local().Format(layout) //nolint:gosmopolitan // people read the time of where they are
}
