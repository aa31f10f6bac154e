package app_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/internal/testenv"
)

// chaos does things to processes and their database, at random, and counts them.
type chaos struct {
	t        *testing.T
	statuses func() []supervise.Status
	server   *testenv.Postgres
	database string
	began    time.Time

	mu     sync.Mutex
	counts map[string]int
}

// newChaos is for the processes of a supervisor and their database.
func newChaos(t *testing.T, statuses func() []supervise.Status, server *testenv.Postgres, database string) *chaos {
	t.Helper()

	return &chaos{t: t, statuses: statuses, server: server, database: database, began: time.Now(), counts: map[string]int{}}
}

// mishap is one kind of thing that happens.
type mishap struct {
	name   string
	weight int
	happen func(ctx context.Context, random *rand.Rand) error
}

// reign has faults happen until the context ends, processes and database independently of each other. The same seed does
// the same things, as far as the machine is as fast.
func (c *chaos) reign(ctx context.Context, seed uint64) {
	c.t.Helper()

	var both sync.WaitGroup

	for i, kinds := range [][]mishap{c.ofProcesses(), c.ofTheDatabase()} {
		random := rand.New(rand.NewPCG(seed, uint64(i)))

		both.Go(func() {
			for pause(ctx, time.Duration(300+random.IntN(1500))*time.Millisecond) {
				c.draw(ctx, kinds, random)
			}
		})
	}

	both.Wait()
}

// pause waits; false means that the context ended first.
func pause(ctx context.Context, lasts time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(lasts):
		return true
	}
}

func (c *chaos) draw(ctx context.Context, kinds []mishap, random *rand.Rand) {
	total := 0
	for _, kind := range kinds {
		total += kind.weight
	}

	at := random.IntN(total)

	for _, kind := range kinds {
		if at -= kind.weight; at >= 0 {
			continue
		}

		c.count(kind.name)
		c.t.Logf("%6.2fs %s", time.Since(c.began).Seconds(), kind.name)

		if err := kind.happen(ctx, random); err != nil && ctx.Err() == nil {
			c.t.Errorf("%s: %v", kind.name, err)
		}

		return
	}
}

func (c *chaos) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.counts[name]++
}

func (c *chaos) ofProcesses() []mishap {
	return []mishap{
		{"a process is killed", 6, func(_ context.Context, random *rand.Rand) error {
			return c.signal(c.any(random), syscall.SIGKILL)
		}},
		{"a process is told to end", 3, func(_ context.Context, random *rand.Rand) error {
			return c.signal(c.any(random), syscall.SIGTERM)
		}},
		{"everything is restarted, one after the other", 1, c.roll},
	}
}

func (c *chaos) ofTheDatabase() []mishap {
	return []mishap{
		{"PostgreSQL is restarted, fast", 2, func(context.Context, *rand.Rand) error { return c.server.Restart(syscall.SIGINT) }},
		{"PostgreSQL is restarted, at once", 2, func(context.Context, *rand.Rand) error { return c.server.Restart(syscall.SIGQUIT) }},
		{"PostgreSQL hangs for 3 s", 1, func(context.Context, *rand.Rand) error { return c.server.Pause(3 * time.Second) }},
		{"PostgreSQL's sessions are ended", 4, func(ctx context.Context, _ *rand.Rand) error { return c.server.Disconnect(ctx) }},
		{"PostgreSQL has no free connection for 3 s", 1, func(ctx context.Context, _ *rand.Rand) error {
			_, err := c.server.Crowd(ctx, c.database, 3*time.Second)

			return err
		}},
	}
}

// any is one of the processes that run.
func (c *chaos) any(random *rand.Rand) supervise.Status {
	running := slices.DeleteFunc(c.statuses(), func(status supervise.Status) bool { return status.PID == 0 })
	if len(running) == 0 {
		return supervise.Status{}
	}

	slices.SortFunc(running, func(a, b supervise.Status) int { return strings.Compare(a.Name, b.Name) })

	return running[random.IntN(len(running))]
}

func (c *chaos) signal(to supervise.Status, signal syscall.Signal) error {
	if to.PID == 0 {
		return nil
	}

	c.t.Logf("%6.2fs   %s to %s", time.Since(c.began).Seconds(), signal, to.Name)

	err := syscall.Kill(to.PID, signal)
	if errors.Is(err, syscall.ESRCH) { // it ended by itself
		return nil
	}

	return err
}

// roll tells every process to end, the next once the one before is ready again, or takes too long for that.
func (c *chaos) roll(ctx context.Context, _ *rand.Rand) error {
	for _, status := range c.statuses() {
		if err := c.signal(status, syscall.SIGTERM); err != nil {
			return err
		}

		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		c.replaced(limited, status)
		cancel()

		select {
		case <-ctx.Done():
			return nil
		default:
		}
	}

	return nil
}

// replaced waits until another process of a name is ready.
func (c *chaos) replaced(ctx context.Context, before supervise.Status) {
	for pause(ctx, 20*time.Millisecond) {
		if slices.ContainsFunc(c.statuses(), func(now supervise.Status) bool {
			return now.Name == before.Name && now.PID != before.PID && now.State == supervise.Ready
		}) {
			return
		}
	}
}
