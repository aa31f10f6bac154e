package conformance_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

// shared is the cluster whose istiod is looked at; nothing of Serin runs on it.
var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.MainWith(func() int { return withCluster(m.Run) }, binaries.Program{Name: "echo", Dir: "echo"}))
}

func withCluster(run func() int) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()

	started, err := cluster.Start(ctx, cluster.Options{
		Progress: os.Stderr, MaxBackoff: time.Second, Debounce: 10 * time.Millisecond,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	shared = started
	code := run()

	if err := shared.Stop(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	cancel()
	http.DefaultClient.CloseIdleConnections()

	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	return code
}
