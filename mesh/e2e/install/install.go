// Package install puts Serin on a cluster the way that deploy/README.md tells people to: the manifests of deploy/base, a
// Secret with tokens, and the agents.
package install

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/serinhq/serin/deploy/local"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

const (
	// Namespace is the one that deploy/base is for.
	Namespace = "serin"
	// OperatorToken and UserToken are what the gateway accepts.
	OperatorToken = "operator-of-the-tests"
	UserToken     = "user-of-the-tests"
)

// The ways to install Serin, from the directory that a test of the module mesh/e2e runs in.
const (
	Base       = "../../deploy/base"
	Sidecar    = "../../deploy/sidecar"
	Minimal    = "../../deploy/overlays/minimal"
	Production = "../../deploy/overlays/production"
)

// Manifests builds the manifests of a directory, as `kubectl kustomize` does.
func Manifests(dir string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}

	documents, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}

	return cluster.Parse(string(documents))
}

// Serin applies everything but the agents. Edits change objects before they are applied.
func Serin(ctx context.Context, c *cluster.Cluster, edits ...func(*unstructured.Unstructured)) error {
	objects, err := Manifests(Base)
	if err != nil {
		return err
	}

	if err := c.Namespace(ctx, Namespace, map[string]string{
		"istio-injection": "disabled", "pod-security.kubernetes.io/enforce": "restricted",
	}); err != nil {
		return err
	}

	kinds := []string{}

	for _, object := range objects {
		for _, edit := range edits {
			edit(object)
		}

		if object.GetKind() == "CustomResourceDefinition" {
			kinds = append(kinds, object.GetName())

			if err := apply(ctx, c, object); err != nil {
				return err
			}
		}
	}

	if err := established(ctx, c, kinds); err != nil {
		return err
	}

	if err := tokens(ctx, c); err != nil {
		return err
	}

	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			if err := apply(ctx, c, object); err != nil {
				return err
			}
		}
	}

	return nil
}

func apply(ctx context.Context, c *cluster.Cluster, object *unstructured.Unstructured) error {
	err := c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("serin-e2e"), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}

	return nil
}

// established waits until the API server serves the kinds.
func established(ctx context.Context, c *cluster.Cluster, names []string) error {
	for _, name := range names {
		for {
			found := &apiextensionsv1.CustomResourceDefinition{}
			if err := c.Client.Get(ctx, client.ObjectKey{Name: name}, found); err != nil {
				return fmt.Errorf("read CustomResourceDefinition %s: %w", name, err)
			}

			if isEstablished(found) {
				break
			}

			select {
			case <-ctx.Done():
				return fmt.Errorf("CustomResourceDefinition %s is not served: %w", name, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}

	return nil
}

func isEstablished(found *apiextensionsv1.CustomResourceDefinition) bool {
	for _, condition := range found.Status.Conditions {
		if condition.Type == apiextensionsv1.Established {
			return condition.Status == apiextensionsv1.ConditionTrue
		}
	}

	return false
}

// tokens are who may speak to the gateway.
func tokens(ctx context.Context, c *cluster.Cluster) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "serin-gateway-tokens"},
		StringData: map[string]string{"tokens.yaml": fmt.Sprintf(
			"- {token: %s, tenant: acme, user: ada, role: operator}\n- {token: %s, tenant: acme, user: bob}\n", OperatorToken, UserToken)},
	}
	if err := c.Client.Create(ctx, secret); client.IgnoreAlreadyExists(err) != nil {
		return fmt.Errorf("create the gateway's tokens: %w", err)
	}

	return nil
}

// Agents applies the example team, as it is in deploy/local: the same files that `serin up` runs.
func Agents(ctx context.Context, c *cluster.Cluster, edits ...func(*unstructured.Unstructured)) error {
	documents := &strings.Builder{}

	err := fs.WalkDir(local.Agents, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		data, err := fs.ReadFile(local.Agents, path)
		documents.WriteString("---\n")
		documents.Write(data)

		return err
	})
	if err != nil {
		return fmt.Errorf("read the example agents: %w", err)
	}

	objects, err := cluster.Parse(documents.String())
	if err != nil {
		return err
	}

	for _, object := range objects {
		object.SetNamespace(Namespace)

		for _, edit := range edits {
			edit(object)
		}

		if err := apply(ctx, c, object); err != nil {
			return err
		}
	}

	return nil
}
