package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	memoryv1 "github.com/serinhq/serin/gen/serin/memory/v1"
)

// memoryCollection is what everything about memories is below.
const memoryCollection = "memories"

func newMemoriesCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:     memoryCollection,
		Aliases: []string{"memory"},
		Short:   "See what agents remember of a user, and have it forgotten",
		Long: `What agents with spec.memory remember of a user beyond one conversation. The memories are the caller's own; operators
name another user of their tenant with --user. What was said in a conversation stays in its log until the conversation is deleted.`,
		Example: `  serin memories list
  serin memories search "which address"
  serin memories add "Prefers letters to phone calls." --ttl 90d
  serin memories delete --all --user ann`,
	}
	command.AddCommand(
		newMemoriesListCommand(env),
		newMemoriesSearchCommand(env),
		newMemoriesAddCommand(env),
		newMemoriesDeleteCommand(env),
	)

	return command
}

// memoryFlags are what all commands about memories take.
type memoryFlags struct {
	endpointFlags

	user   string
	format *outputFormat
}

func (f *memoryFlags) register(command *cobra.Command, env *Env) {
	f.endpointFlags.register(command.Flags(), env)
	command.Flags().StringVar(&f.user, "user", "", "whose memories, for operators (default: your own)")
	f.format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)
}

// query names the user that is meant.
func (f *memoryFlags) query() url.Values {
	query := url.Values{}
	if f.user != "" {
		query.Set("user", f.user)
	}

	return query
}

func newMemoriesListCommand(env *Env) *cobra.Command {
	var (
		flags memoryFlags
		limit int
	)

	command := &cobra.Command{
		Use:   "list",
		Short: "List memories, newest first",
		Example: `  serin memories list
  serin memories list --user ann -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageErrorf("--limit %d: want at least 1", limit)
			}

			return withClient(&flags.endpointFlags, func(c *client) error {
				found, err := c.memories(command.Context(), flags.query(), limit)
				if err != nil {
					return err
				}

				if *flags.format != formatText {
					return printValue(env.Stdout, *flags.format, found)
				}

				return printMemories(env, found.GetMemories())
			})
		},
	}

	flags.register(command, env)
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")

	return command
}

// memories reads pages until there are as many as wanted.
func (c *client) memories(ctx context.Context, query url.Values, limit int) (*memoryv1.ListMemoriesResponse, error) {
	all := &memoryv1.ListMemoriesResponse{}

	for len(all.GetMemories()) < limit {
		query.Set("pageSize", strconv.Itoa(min(pageSize, limit-len(all.GetMemories()))))

		page := &memoryv1.ListMemoriesResponse{}
		if err := c.call(ctx, http.MethodGet, []string{memoryCollection}, query, nil, page); err != nil {
			return nil, err
		}

		all.Memories = append(all.Memories, page.GetMemories()...)
		all.NextPageToken = page.GetNextPageToken()

		if all.GetNextPageToken() == "" {
			break
		}

		query.Set("pageToken", all.GetNextPageToken())
	}

	return all, nil
}

func newMemoriesSearchCommand(env *Env) *cobra.Command {
	var (
		flags memoryFlags
		limit int
	)

	command := &cobra.Command{
		Use:     "search TEXT",
		Short:   "Find the memories that share words with a text, the best first",
		Example: `  serin memories search "which address" --limit 3`,
		Args:    oneArg("TEXT"),
		RunE: func(command *cobra.Command, args []string) error {
			if limit < 1 || limit > 50 {
				return usageErrorf("--limit %d: want 1 to 50", limit)
			}

			return withClient(&flags.endpointFlags, func(c *client) error {
				query := flags.query()
				query.Set("query", args[0])
				query.Set("limit", strconv.Itoa(limit))

				found := &memoryv1.SearchMemoriesResponse{}
				if err := c.call(command.Context(), http.MethodGet, []string{memoryCollection + ":search"}, query, nil, found); err != nil {
					return err
				}

				if *flags.format != formatText {
					return printValue(env.Stdout, *flags.format, found)
				}

				memories := make([]*memoryv1.Memory, len(found.GetMemories()))
				for i, one := range found.GetMemories() {
					memories[i] = one.GetMemory()
				}

				return printMemories(env, memories)
			})
		},
	}

	flags.register(command, env)
	command.Flags().IntVar(&limit, "limit", 5, "how many at most, 1 to 50")

	return command
}

func printMemories(env *Env, memories []*memoryv1.Memory) error {
	rows := make([][]string, len(memories))

	for i, one := range memories {
		by := one.GetAgent()
		if by == "" {
			by = "-"
		}

		rows[i] = []string{one.GetMemoryId(), when(one.GetCreatedAt()), when(one.GetExpiresAt()), by, clip(oneLine(one.GetText()), maxDetail)}
	}

	return printTable(env, []string{"MEMORY", "STORED", "EXPIRES", "BY", "TEXT"}, rows)
}

func newMemoriesAddCommand(env *Env) *cobra.Command {
	var (
		flags memoryFlags
		ttl   string
	)

	command := &cobra.Command{
		Use:     "add TEXT",
		Short:   "Have agents remember something from now on",
		Example: `  serin memories add "Prefers letters to phone calls." --ttl 90d`,
		Args:    oneArg("TEXT"),
		RunE: func(command *cobra.Command, args []string) error {
			request := &memoryv1.CreateMemoryRequest{Text: args[0], User: flags.user}

			if ttl != "" {
				age, err := parseAge("--ttl", ttl)
				if err != nil {
					return err
				}

				request.Ttl = durationpb.New(age)
			}

			return withClient(&flags.endpointFlags, func(c *client) error {
				answer := &memoryv1.CreateMemoryResponse{}
				if err := c.call(command.Context(), http.MethodPost, []string{memoryCollection}, nil, request, answer); err != nil {
					return err
				}

				if *flags.format != formatText {
					return printValue(env.Stdout, *flags.format, answer)
				}

				_, err := fmt.Fprintln(env.Stdout, answer.GetMemory().GetMemoryId())

				return err //nolint:wrapcheck // nothing to add
			})
		},
	}

	flags.register(command, env)
	command.Flags().StringVar(&ttl, "ttl", "", "for how long: 90d, 36h, 15m (default: for good)")

	return command
}

func newMemoriesDeleteCommand(env *Env) *cobra.Command {
	var (
		flags memoryFlags
		all   bool
	)

	command := &cobra.Command{
		Use:   "delete ID... | --all",
		Short: "Forget memories for good",
		Example: `  serin memories delete m01j...
  serin memories delete --all --user ann`,
		RunE: func(command *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageErrorf("give the memories' ids, or --all")
			}

			return withClient(&flags.endpointFlags, func(c *client) error {
				gone, err := c.forget(command.Context(), flags.query(), args, all)
				if err != nil {
					return err
				}

				if *flags.format != formatText {
					return printValue(env.Stdout, *flags.format, map[string]int64{"deleted": gone})
				}

				_, err = fmt.Fprintf(env.Stdout, "deleted %d\n", gone)

				return err //nolint:wrapcheck // nothing to add
			})
		},
	}

	flags.register(command, env)
	command.Flags().BoolVar(&all, "all", false, "forget all memories of the user")

	return command
}

// forget deletes the named memories, or all.
func (c *client) forget(ctx context.Context, query url.Values, ids []string, all bool) (gone int64, err error) {
	if all {
		query.Set("all", "true")

		answer := &memoryv1.DeleteAllMemoriesResponse{}
		err := c.call(ctx, http.MethodDelete, []string{memoryCollection}, query, nil, answer)

		return answer.GetDeleted(), err
	}

	for _, id := range ids {
		if err := c.call(ctx, http.MethodDelete, []string{memoryCollection, id}, query, nil, &memoryv1.DeleteMemoryResponse{}); err != nil {
			return gone, fmt.Errorf("%w (%d deleted before)", err, gone)
		}

		gone++
	}

	return gone, nil
}
