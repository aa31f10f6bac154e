package app

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// plugin reports whether kubectl runs this process, or a person runs it by the plugin's name.
func (e *Env) plugin() bool {
	name := strings.TrimSuffix(filepath.Base(e.Program), ".exe")

	return name == "kubectl-serin" || name == "kubectl_serin"
}

// asPlugin has a plugin's help say what a person typed, and says what kubectl's users expect.
func asPlugin(root *cobra.Command, env *Env) {
	if !env.plugin() {
		return
	}

	if root.Annotations == nil {
		root.Annotations = map[string]string{}
	}

	root.Annotations[cobra.CommandDisplayNameAnnotation] = "kubectl serin"
	root.Long += "\n\nAs a plugin of kubectl it speaks to the cluster of the kubeconfig unless --url or --data names a\ngateway."
	renamed(root)
}

// renamed has the examples say what a person types.
func renamed(command *cobra.Command) {
	command.Example = strings.ReplaceAll(command.Example, "  serin ", "  kubectl serin ")

	for _, sub := range command.Commands() {
		renamed(sub)
	}
}
