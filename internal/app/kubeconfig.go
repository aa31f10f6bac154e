package app

import (
	"fmt"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// writeKubeconfig lets the operator look at the mesh's objects with kubectl.
func (p *Platform) writeKubeconfig() error {
	certificates := p.data.join("certs", rpc.Operator)

	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "serin",
		"clusters": []any{map[string]any{"name": "serin", "cluster": map[string]any{
			"server":                "https://" + p.targets[meshAPIName],
			"certificate-authority": filepath.Join(certificates, identity.BundleFile),
		}}},
		"users": []any{map[string]any{"name": rpc.Operator, "user": map[string]any{
			"client-certificate": filepath.Join(certificates, identity.SVIDFile),
			"client-key":         filepath.Join(certificates, identity.KeyFile),
		}}},
		"contexts": []any{map[string]any{"name": "serin", "context": map[string]any{
			"cluster": "serin", "user": rpc.Operator, "namespace": namespace,
		}}},
	})
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}

	return writeFile(p.data.join("run", "kubeconfig"), data)
}
