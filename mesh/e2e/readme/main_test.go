package readme_test

import (
	"os"
	"testing"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, binaries.Serin())) }
