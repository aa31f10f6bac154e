package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// fieldManager is who applies what tests and the cluster itself apply.
const fieldManager = "serin-e2e"

// Parse reads YAML documents as objects. Empty documents are left out.
func Parse(documents string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured

	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(documents)))

	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}

		if err != nil {
			return nil, fmt.Errorf("split YAML documents: %w", err)
		}

		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("read YAML document %d: %w", len(objects)+1, err)
		}

		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Apply applies YAML documents by server-side apply, in their order, as kubectl apply --server-side does with
// --force-conflicts.
func (c *Cluster) Apply(ctx context.Context, documents string) error {
	objects, err := Parse(documents)
	if err != nil {
		return err
	}

	for _, object := range objects {
		if err := c.apply(ctx, object); err != nil {
			return err
		}
	}

	return nil
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured) error {
	what := client.ApplyConfigurationFromUnstructured(object)
	if err := c.Client.Apply(ctx, what, client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}

	return nil
}

// applyAll applies objects that do not depend on each other.
func (c *Cluster) applyAll(ctx context.Context, objects []*unstructured.Unstructured) error {
	group, ctx := errgroup.WithContext(ctx)

	for _, object := range objects {
		group.Go(func() error { return c.apply(ctx, object) })
	}

	return group.Wait()
}

// create asks whether an object would be created.
func (c *Cluster) create(ctx context.Context, object *unstructured.Unstructured) error {
	if err := c.Client.Create(ctx, object, client.DryRunAll); err != nil {
		return fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName(), err)
	}

	return nil
}
