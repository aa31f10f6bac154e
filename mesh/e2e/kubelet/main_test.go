package kubelet_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

// shared is one cluster for all tests here; each has a namespace of its own.
var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.MainWith(func() int { return withCluster(m) }, binaries.Program{Name: "testprogram", Dir: "testprogram"}))
}

func withCluster(m *testing.M) int {
	var err error

	shared, err = cluster.Start(context.Background(), cluster.Options{Progress: os.Stderr, MaxBackoff: time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	code := m.Run()

	if err := shared.Stop(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	http.DefaultClient.CloseIdleConnections()

	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	return code
}
