package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// What may happen to a server of one's own, see [OwnPostgres], beside its restarts. Each returns once it is over.

// Pause stops the server and its sessions for a time, as a machine does that swaps. Sessions are found on Linux alone;
// elsewhere only new connections wait.
func (p *Postgres) Pause(lasts time.Duration) error {
	first, err := p.pid()
	if err != nil {
		return err
	}

	var stopped []int

	defer func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
	}()

	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}

	stopped = append(stopped, first)

	for _, pid := range children(first) { // it makes no more of them
		if syscall.Kill(pid, syscall.SIGSTOP) == nil {
			stopped = append(stopped, pid)
		}
	}

	<-time.After(lasts)

	return nil
}

// pid is the server's first process.
func (p *Postgres) pid() (int, error) {
	told, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return 0, err //nolint:wrapcheck // it names the file
	}

	first, _, _ := strings.Cut(string(told), "\n")

	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("postmaster.pid says %q: %w", first, err)
	}

	return pid, nil
}

// children are a process's; none where the system does not tell.
func children(pid int) []int {
	told, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}

	var found []int

	for field := range strings.FieldsSeq(string(told)) {
		if child, err := strconv.Atoi(field); err == nil {
			found = append(found, child)
		}
	}

	return found
}

// Disconnect ends all sessions of other users than the administrator.
func (p *Postgres) Disconnect(ctx context.Context) error {
	return p.administer(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+PostgresRole+"'")
}

// Crowd takes every connection that is left to ordinary users, for a time, and those that others lose meanwhile: before, it
// ends all sessions. It returns how many connections it held.
func (p *Postgres) Crowd(ctx context.Context, database string, lasts time.Duration) (held int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()

	var taken []*pgx.Conn

	defer func() {
		for _, one := range taken {
			_ = one.Close(context.WithoutCancel(ctx)) // the server may have ended it
		}
	}()

	if err := p.Disconnect(ctx); err != nil {
		return 0, err
	}

	for ctx.Err() == nil {
		one, err := pgx.Connect(ctx, database)
		if err == nil {
			taken = append(taken, one)

			continue
		}

		select { // full; whoever loses a connection now shall not get another
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}

	if len(taken) == 0 {
		return 0, errors.New("no connection was free to be taken")
	}

	return len(taken), nil
}
