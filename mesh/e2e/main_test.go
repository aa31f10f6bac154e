package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

// shared is the cluster of all tests: to start one takes seconds, and to run Serin on it takes more.
var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.MainWith(func() int { return withCluster(m.Run) }, binaries.Serin()))
}

func withCluster(run func() int) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()

	began := time.Now()

	started, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr, MaxBackoff: time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	shared = started
	figures.add("cluster", "up after", time.Since(began).Round(10*time.Millisecond).String())

	code := run()

	if err := shared.Stop(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)

		code = 1
	}

	figures.print(os.Stdout)

	return code
}
