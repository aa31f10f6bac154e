package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
)

// writeCatalogue tells the other processes which agents there are.
func (w *workloads) writeCatalogue(ctx context.Context, request *workloadv1.ApplyRequest) error {
	text, err := w.config.Catalogue(request)
	if err != nil {
		return fmt.Errorf("write the catalogue: %w", err)
	}

	return w.apply(ctx, &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.config.Namespace, Name: CatalogueMap, Labels: map[string]string{managedLabel: manager},
		},
		Data: map[string]string{CatalogueKey: text},
	})
}
