package app

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc"
)

// crashFileVariable names a file in which a test says where processes must die. It is never set in production.
const crashFileVariable = "SERIN_CRASH_FILE"

// crashPoints returns options for a connection that let a test kill this process, with SIGKILL, just before or after
// one of its RPCs. The file holds one line: WORKLOAD METHOD before|after N, such as "billing Append before 3"; the
// process that dies removes it first, so that it dies once.
func crashPoints(getenv func(string) string, workload string) []grpc.DialOption {
	file := getenv(crashFileVariable)
	if file == "" {
		return nil
	}

	crasher := &crasher{file: file, workload: workload, count: map[string]int{}}

	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(crasher.unary)}
}

type crasher struct {
	file, workload string

	mu    sync.Mutex
	order string
	count map[string]int
}

func (c *crasher) unary(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	c.reach(path.Base(method), "before")

	err := invoke(ctx, method, request, reply, connection, options...)

	c.reach(path.Base(method), "after")

	return err
}

// reach counts a point, and dies if it is the one that the file names.
func (c *crasher) reach(method, when string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	data, err := os.ReadFile(c.file)
	if err != nil {
		return // no order, no crash
	}

	order := strings.TrimSpace(string(data))
	if order != c.order {
		c.order, c.count = order, map[string]int{}
	}

	c.count[method+" "+when]++

	if order == fmt.Sprintf("%s %s %s %d", c.workload, method, when, c.count[method+" "+when]) {
		_ = os.Remove(c.file) // if it stays, the next process dies as well, and the test tells
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
