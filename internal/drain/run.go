package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Task is a part of a process that runs until its context ends.
type Task struct {
	// Name says what failed.
	Name string
	// Run returns when ctx ends, or earlier: with nil if it has done all that it had to, with an error to end all tasks.
	Run func(ctx context.Context) error
}

// Run runs the tasks together and returns when all have ended. The first failure cancels the others and is the one
// returned, wrapped with its task's name. Ending because ctx ended is no failure.
func Run(ctx context.Context, tasks ...Task) error {
	group, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var (
		running sync.WaitGroup
		first   sync.Once
		failure error
	)

	for _, task := range tasks {
		running.Go(func() {
			err := task.Run(group)
			if err == nil || isEnd(group, err) {
				return
			}

			first.Do(func() {
				failure = fmt.Errorf("%s: %w", task.Name, err)
				cancel(failure)
			})
		})
	}

	running.Wait()

	return failure
}

// isEnd reports whether err only says that the group's context has ended.
func isEnd(group context.Context, err error) bool {
	ended := group.Err()

	return ended != nil && (errors.Is(err, ended) || errors.Is(err, context.Cause(group)))
}
