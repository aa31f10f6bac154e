package e2e_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/install"
)

// TestOverlaysAreTaken by a real API server, in a namespace where nothing is: each object of each is valid and would be applied.
// What they say is looked at where it differs from the base.
func TestOverlaysAreTaken(t *testing.T) {
	p := serin(t)
	p.must(shared.Namespace(p.Context(), "overlays", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}))

	for dir, want := range map[string]struct {
		replicas map[string]string
		without  string
	}{
		install.Base:       {map[string]string{"serin-gateway": "2", "serin-controller": "2", "serin-context": "1", "serin-tools": "1"}, ""},
		install.Minimal:    {map[string]string{"serin-gateway": "1", "serin-controller": "1", "serin-context": "1"}, "PodDisruptionBudget"},
		install.Production: {map[string]string{"serin-gateway": "3", "serin-controller": "2", "serin-context": "3"}, "PersistentVolumeClaim"},
	} {
		t.Run(dir, func(t *testing.T) {
			objects, err := install.Manifests(dir)
			if err != nil {
				t.Fatal(err)
			}

			seen := map[string]string{}

			for _, object := range objects {
				if object.GetKind() == want.without {
					t.Errorf("%s %s is there", object.GetKind(), object.GetName())
				}

				if object.GetKind() == "Deployment" {
					replicas, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "replicas")
					seen[object.GetName()] = fmt.Sprint(replicas)
				}

				if object.GetNamespace() == install.Namespace {
					object.SetNamespace("overlays")
				}

				if err := shared.Client.Apply(p.Context(), client.ApplyConfigurationFromUnstructured(object),
					client.FieldOwner("serin-e2e"), client.ForceOwnership, client.DryRunAll); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
			}

			for name, replicas := range want.replicas {
				if seen[name] != replicas {
					t.Errorf("%s has %s replicas, want %s", name, seen[name], replicas)
				}
			}
		})
	}
}
