package xds

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain also is the client processes of [TestWeightChangeReachesEveryone].
func TestMain(m *testing.M) {
	if address := os.Getenv(clientProcess); address != "" {
		if err := runClient(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}

		return
	}

	goleak.VerifyTestMain(m)
}
