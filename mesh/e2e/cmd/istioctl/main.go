// Command istioctl is Istio's own istioctl, with the commands that the tests need: analyze and manifest. The whole one
// does not compile beside the Prometheus client that Serin uses: its command for metrics calls a function that has changed.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"istio.io/istio/istioctl/pkg/analyze"
	"istio.io/istio/istioctl/pkg/cli"
	"istio.io/istio/operator/cmd/mesh"
)

func main() {
	root := &cobra.Command{Use: "istioctl", Short: "Istio control interface", SilenceUsage: true}
	context := cli.NewCLIContext(cli.AddRootFlags(root.PersistentFlags()))

	root.AddCommand(analyze.Analyze(context), mesh.ManifestCmd(context))

	if err := root.Execute(); err != nil {
		// A finding of analyze has an exit code of its own in Istio's; here each failure is a failure.
		os.Exit(1)
	}
}
