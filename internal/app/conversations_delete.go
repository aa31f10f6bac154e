package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/fault"
)

func newConversationsDeleteCommand(env *Env) *cobra.Command {
	var (
		endpoint endpointFlags
		force    bool
		format   *outputFormat
	)

	command := &cobra.Command{
		Use:   "delete ID...",
		Short: "Delete conversations for good",
		Example: `  serin conversations delete c01j...
  serin conversations delete c01j... --force   # even while a turn runs or waits`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return withClient(&endpoint, func(c *client) error {
				report := deletions{Deleted: []string{}, Kept: []kept{}}

				for _, id := range args {
					if err := c.delete(command.Context(), id, force, time.Time{}); err != nil {
						return fmt.Errorf("%w%s", err, report.soFar())
					}

					report.Deleted = append(report.Deleted, id)
				}

				return report.print(env, *format)
			})
		},
	}

	endpoint.register(command.Flags(), env)
	command.Flags().BoolVar(&force, "force", false, "delete them even if a turn runs or waits for a human")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

func newConversationsPurgeCommand(env *Env) *cobra.Command {
	var (
		endpoint  endpointFlags
		olderThan string
		dryRun    bool
		format    *outputFormat
	)

	command := &cobra.Command{
		Use:   "purge --older-than AGE",
		Short: "Delete the conversations that nobody has used for some time",
		Long: `Deletes for good the conversations in which nothing has happened for longer than an age: those that the token may
see, so an operator's are all of the tenant's. Conversations whose turn runs or waits for a human are kept.`,
		Example: `  serin conversations purge --older-than 90d --dry-run
  serin conversations purge --older-than 36h -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			age, err := parseAge("--older-than", olderThan)
			if err != nil {
				return err
			}

			return withClient(&endpoint, func(c *client) error {
				report, err := purge(command.Context(), c, time.Now().Add(-age), dryRun)
				if err != nil {
					return fmt.Errorf("%w%s", err, report.soFar())
				}

				return report.print(env, *format)
			})
		},
	}

	endpoint.register(command.Flags(), env)
	command.Flags().StringVar(&olderThan, "older-than", "", "for how long nothing has happened in them: 90d, 36h, 15m")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say which, and delete nothing")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

// parseAge reads the value of a flag: a duration in days, or as Go writes it.
func parseAge(flag, text string) (time.Duration, error) {
	age, err := ageOf(text)
	if err != nil || age < 0 {
		return 0, usageErrorf("%s %q: must be an age such as 90d, 36h or 15m", flag, text)
	}

	return age, nil
}

func ageOf(text string) (time.Duration, error) {
	days, found := strings.CutSuffix(text, "d")
	if !found {
		return time.ParseDuration(text) //nolint:wrapcheck // the flag says what is wrong
	}

	count, err := strconv.Atoi(days)
	if err == nil && count > int(maxAge/(24*time.Hour)) {
		err = strconv.ErrRange
	}

	return time.Duration(count) * 24 * time.Hour, err
}

// maxAge is the longest that fits a time.Duration, with room to spare.
const maxAge = 200 * 365 * 24 * time.Hour

// deletions is what was deleted, and what was not.
type deletions struct {
	Deleted []string `json:"deleted"`
	Kept    []kept   `json:"kept"`
	DryRun  bool     `json:"dry_run"`
}

// kept is a conversation that is old enough, and stays.
type kept struct {
	Conversation string `json:"conversation"`
	Reason       string `json:"reason"`
}

// purge deletes what is older, page by page. Pages name their last conversation and survive deletions.
func purge(ctx context.Context, c *client, before time.Time, dryRun bool) (deletions, error) {
	report := deletions{Deleted: []string{}, Kept: []kept{}, DryRun: dryRun}

	for page := ""; ; {
		found, err := c.list(ctx, pageSize, page)
		if err != nil {
			return report, err
		}

		for _, conversation := range found.GetConversations() {
			if err := report.purge(ctx, c, conversation, before); err != nil {
				return report, err
			}
		}

		if page = found.GetNextPageToken(); page == "" {
			return report, nil
		}
	}
}

// purge deletes a conversation if it is old enough and at rest.
func (d *deletions) purge(ctx context.Context, c *client, conversation *conversationv1.Conversation, before time.Time) error {
	id := conversation.GetConversationId()

	switch {
	case conversation.GetUpdatedAt().AsTime().After(before):
		return nil
	case conversation.GetActiveTurn() != nil:
		d.Kept = append(d.Kept, kept{id, "TURN_IN_PROGRESS"})

		return nil
	case d.DryRun:
		d.Deleted = append(d.Deleted, id)

		return nil
	}

	switch err := c.delete(ctx, id, false, before); {
	case err == nil:
		d.Deleted = append(d.Deleted, id)
	case fault.Is(err, "CONVERSATION_NOT_FOUND"): // someone else was faster
	case fault.Is(err, "TURN_IN_PROGRESS", "CONVERSATION_IN_USE"):
		d.Kept = append(d.Kept, kept{id, fault.From(err).Reason})
	default:
		return err
	}

	return nil
}

// soFar says, after an error, what was done before it.
func (d *deletions) soFar() string {
	if len(d.Deleted) == 0 {
		return ""
	}

	return fmt.Sprintf(" (%d deleted before)", len(d.Deleted))
}

func (d *deletions) print(env *Env, format outputFormat) error {
	if format != formatText {
		return printValue(env.Stdout, format, d)
	}

	verb := "deleted"
	if d.DryRun {
		verb = "would delete"
	}

	for _, id := range d.Deleted {
		_, _ = fmt.Fprintf(env.Stdout, "%s %s\n", verb, id) // as printf
	}

	for _, one := range d.Kept {
		_, _ = fmt.Fprintf(env.Stdout, "kept %s: %s\n", one.Conversation, one.Reason) // as printf
	}

	_, err := fmt.Fprintf(env.Stdout, "%s %d, kept %d\n", verb, len(d.Deleted), len(d.Kept))

	return err //nolint:wrapcheck // nothing to add
}

// delete deletes a conversation; with a time, only if nothing has happened in it since.
func (c *client) delete(ctx context.Context, id string, force bool, idleSince time.Time) error {
	query := url.Values{}
	if force {
		query.Set("force", "true")
	}

	if !idleSince.IsZero() {
		query.Set("idleSince", idleSince.UTC().Format(time.RFC3339Nano))
	}

	return c.call(ctx, http.MethodDelete, []string{collection, id}, query, nil, &conversationv1.DeleteConversationResponse{})
}
