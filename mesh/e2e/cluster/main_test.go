package cluster_test

import (
	"os"
	"testing"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
