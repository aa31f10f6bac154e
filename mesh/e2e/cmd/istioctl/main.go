// Command istioctl is Istio's own istioctl, with the commands that the tests need: analyze and manifest. The whole one
// does not compile beside the Prometheus client that Serin uses: its command for metrics calls a function that has changed.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"istio.io/istio/istioctl/pkg/analyze"
	"istio.io/istio/istioctl/pkg/cli"
	"istio.io/istio/operator/cmd/mesh"
	"istio.io/istio/pkg/log"
)

// quiet keeps what is logged out of the answer, as Istio's own does.
func quiet() *log.Options {
	options := log.DefaultOptions()
	options.OutputPaths = []string{"stderr"}
	options.SetDefaultOutputLevel(log.OverrideScopeName, log.WarnLevel)

	return options
}

func main() {
	root := &cobra.Command{
		Use: "istioctl", Short: "Istio control interface", SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return log.Configure(quiet()) },
	}
	context := cli.NewCLIContext(cli.AddRootFlags(root.PersistentFlags()))

	root.AddCommand(analyze.Analyze(context), mesh.ManifestCmd(context))

	if err := root.Execute(); err != nil {
		// A finding of analyze has an exit code of its own in Istio's; here each failure is a failure.
		os.Exit(1)
	}
}
