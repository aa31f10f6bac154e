package objects_test

import (
	"errors"
	"strings"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	typednetworkingv1 "istio.io/client-go/pkg/clientset/versioned/typed/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/serinhq/serin/mesh/xds/objects"
)

type virtualServices = typednetworkingv1.VirtualServiceInterface

func TestLifeOfAnObject(t *testing.T) {
	w := newWorld(t, objects.Config{})
	ctx, services := t.Context(), w.services()

	created := w.create(billing)
	if created.UID == "" || created.Generation != 1 || created.ResourceVersion == "" || created.CreationTimestamp.IsZero() {
		t.Errorf("created without what the server owns: %+v", created.ObjectMeta)
	}

	if _, err := services.Create(ctx, parse(t, billing), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("created twice: %v", err)
	}

	annotated := created.DeepCopy()
	annotated.Annotations["a"] = "b"
	annotated = must[*networkingv1.VirtualService](t)(services.Update(ctx, annotated, metav1.UpdateOptions{}))

	if annotated.Generation != 1 || annotated.ResourceVersion == created.ResourceVersion {
		t.Errorf("after an annotation: %+v", annotated.ObjectMeta)
	}

	if _, err := services.Update(ctx, created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of a stale version: %v", err)
	}

	same := must[*networkingv1.VirtualService](t)(services.Update(ctx, annotated, metav1.UpdateOptions{}))
	if same.ResourceVersion != annotated.ResourceVersion {
		t.Errorf("an update of nothing made version %s of %s", same.ResourceVersion, annotated.ResourceVersion)
	}

	weighed := same.DeepCopy()
	weighed.Spec.Http[1].Route[0].Weight = 90
	weighed.UID, weighed.Generation = "", 77
	weighed = must[*networkingv1.VirtualService](t)(services.Update(ctx, weighed, metav1.UpdateOptions{}))

	if weighed.Generation != 2 || weighed.UID != created.UID || !weighed.CreationTimestamp.Equal(&created.CreationTimestamp) {
		t.Errorf("after a weight: %+v", weighed.ObjectMeta)
	}

	if got := w.store.Snapshot().VirtualServices; len(got) != 1 || got[0].Spec.GetHttp()[1].GetRoute()[0].GetWeight() != 90 {
		t.Errorf("the snapshot has %v", got)
	}

	uid := types.UID("another")
	if err := services.Delete(ctx, "billing", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}); !apierrors.IsConflict(err) {
		t.Errorf("the deletion of another object: %v", err)
	}

	if err := services.Delete(ctx, "billing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	if _, err := services.Get(ctx, "billing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	edit := func(change func(*networkingv1.VirtualService)) *networkingv1.VirtualService {
		vs := parse(t, billing)
		change(vs)

		return vs
	}

	for name, test := range map[string]struct {
		vs      *networkingv1.VirtualService
		is      func(error) bool
		mention string
	}{
		"version given":     {edit(func(vs *networkingv1.VirtualService) { vs.ResourceVersion = "3" }), apierrors.IsBadRequest, "resourceVersion"},
		"another namespace": {edit(func(vs *networkingv1.VirtualService) { vs.Namespace = "other" }), apierrors.IsBadRequest, "namespace"},
		"no name":           {edit(func(vs *networkingv1.VirtualService) { vs.Name = "" }), apierrors.IsInvalid, "metadata.name"},
		"a bad name":        {edit(func(vs *networkingv1.VirtualService) { vs.Name = "Not_a_name" }), apierrors.IsInvalid, "metadata.name"},
		"a bad label":       {edit(func(vs *networkingv1.VirtualService) { vs.Labels["a"] = "b c" }), apierrors.IsInvalid, "metadata.labels"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.services().Create(t.Context(), test.vs, metav1.CreateOptions{})
			if !test.is(err) || !strings.Contains(err.Error(), test.mention) {
				t.Errorf("got %v", err)
			}
		})
	}

	if _, err := w.services().Update(t.Context(), parse(t, billing), metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("an update that names no version: %v", err)
	}

	if _, err := w.client().NetworkingV1().Gateways("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a kind that is not kept: %v", err)
	}
}

func TestValidation(t *testing.T) {
	mirror := field.Forbidden(field.NewPath("spec", "http").Index(0).Child("mirror"), "proxyless gRPC ignores it")
	verdicts := map[string]error{
		"field":     mirror,
		"aggregate": field.ErrorList{mirror, field.Required(field.NewPath("spec", "hosts"), "")}.ToAggregate(),
		"text":      errors.New("spec.http[0].mirror is not for proxyless gRPC"),
	}

	w := newWorld(t, objects.Config{Validate: func(object runtime.Object) error {
		return verdicts[object.(*networkingv1.VirtualService).Annotations["verdict"]]
	}})
	created := w.create(billing)

	for name := range verdicts {
		patch := []byte(`{"metadata":{"annotations":{"verdict":"` + name + `"}}}`)

		_, err := w.services().Patch(t.Context(), "billing", types.MergePatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.http[0].mirror") {
			t.Errorf("%s: got %v", name, err)
		}

		if status := apierrors.APIStatus(nil); name == "aggregate" && errors.As(err, &status) {
			if causes := status.Status().Details.Causes; len(causes) != 2 || causes[0].Field != "spec.http[0].mirror" {
				t.Errorf("causes are %v", causes)
			}
		}
	}

	if now := must[*networkingv1.VirtualService](t)(w.services().Get(t.Context(), "billing", metav1.GetOptions{})); now.ResourceVersion != created.ResourceVersion {
		t.Error("a refused write left a trace")
	}
}

func TestVersionsAreOneObject(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	old := must[any](t)(w.client().NetworkingV1beta1().VirtualServices("default").Get(t.Context(), "billing", metav1.GetOptions{}))
	older := must[any](t)(w.client().NetworkingV1alpha3().VirtualServices("default").Get(t.Context(), "billing", metav1.GetOptions{}))

	for _, object := range []any{old, older} {
		if object.(metav1.Object).GetName() != "billing" {
			t.Errorf("got %v", object)
		}
	}

	patch := []byte(`[{"op":"replace","path":"/spec/http/1/route/0/weight","value":7}]`)
	must[any](t)(w.client().NetworkingV1alpha3().VirtualServices("default").Patch(t.Context(), "billing", types.JSONPatchType, patch, metav1.PatchOptions{}))

	if got := w.store.Snapshot().VirtualServices[0]; got.APIVersion != "networking.istio.io/v1" || got.Spec.GetHttp()[1].GetRoute()[0].GetWeight() != 7 {
		t.Errorf("the snapshot has %v", got)
	}
}

func TestSelectors(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	triage := parse(t, billing)
	triage.Name, triage.Labels = "triage", map[string]string{"app": "triage"}
	must[any](t)(w.services().Create(t.Context(), triage, metav1.CreateOptions{}))
	must[any](t)(w.client().NetworkingV1().VirtualServices("other").Create(t.Context(), parse(t, billing), metav1.CreateOptions{}))

	for name, test := range map[string]struct {
		namespace string
		options   metav1.ListOptions
		want      string
	}{
		"all":       {"", metav1.ListOptions{}, "default/billing default/triage other/billing"},
		"namespace": {"default", metav1.ListOptions{}, "default/billing default/triage"},
		"label":     {"", metav1.ListOptions{LabelSelector: "app in (billing)"}, "default/billing other/billing"},
		"field":     {"default", metav1.ListOptions{FieldSelector: "metadata.name=triage"}, "default/triage"},
	} {
		list, err := w.client().NetworkingV1().VirtualServices(test.namespace).List(t.Context(), test.options)
		if err != nil {
			t.Fatal(err)
		}

		var got []string
		for _, vs := range list.Items {
			got = append(got, vs.Namespace+"/"+vs.Name)
		}

		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}

	if err := w.services().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=billing"}); err != nil {
		t.Fatal(err)
	}

	if left := w.store.Snapshot().VirtualServices; len(left) != 2 || left[0].Name != "triage" {
		t.Errorf("left are %v", left)
	}
}

func TestFinalizersHoldAnObject(t *testing.T) {
	w := newWorld(t, objects.Config{})
	vs := parse(t, billing)
	vs.Finalizers = []string{"serin.dev/last-words"}
	must[any](t)(w.services().Create(t.Context(), vs, metav1.CreateOptions{}))

	if err := w.services().Delete(t.Context(), "billing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	held := must[*networkingv1.VirtualService](t)(w.services().Get(t.Context(), "billing", metav1.GetOptions{}))
	if held.DeletionTimestamp == nil {
		t.Errorf("not being deleted: %+v", held.ObjectMeta)
	}

	held.Finalizers = nil
	must[any](t)(w.services().Update(t.Context(), held, metav1.UpdateOptions{}))

	if _, err := w.services().Get(t.Context(), "billing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after its last finalizer: %v", err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld(t, objects.Config{})
	dry := []string{metav1.DryRunAll}
	must[any](t)(w.services().Create(t.Context(), parse(t, billing), metav1.CreateOptions{DryRun: dry}))

	if got := w.store.Snapshot().VirtualServices; len(got) != 0 {
		t.Errorf("a dry run made %v", got)
	}

	w.create(billing)

	if err := w.services().Delete(t.Context(), "billing", metav1.DeleteOptions{DryRun: dry}); err != nil {
		t.Fatal(err)
	}

	if got := w.store.Snapshot().VirtualServices; len(got) != 1 {
		t.Error("a dry run deleted it")
	}
}
