package objects_test

import (
	"net/http"
	"strings"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/serinhq/serin/mesh/xds/objects"
)

func TestJSONPatchSpeaksAboutWhatWasWritten(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.raw(billing)

	patch := []byte(`[
		{"op":"test","path":"/metadata/annotations/serin.dev~1intent","value":"old"},
		{"op":"test","path":"/spec/http/1/name","value":"split"},
		{"op":"test","path":"/spec/http/1/route/1/weight","value":0},
		{"op":"replace","path":"/spec/http/1/route/0/weight","value":90},
		{"op":"replace","path":"/spec/http/1/route/1/weight","value":10},
		{"op":"replace","path":"/metadata/annotations/serin.dev~1intent","value":"new"}]`)

	got := must[*networkingv1.VirtualService](t)(w.services().Patch(t.Context(), "billing", types.JSONPatchType, patch, metav1.PatchOptions{}))
	if got.Spec.GetHttp()[1].GetRoute()[1].GetWeight() != 10 || got.Annotations["serin.dev/intent"] != "new" || got.Generation != 2 {
		t.Errorf("got %v", got)
	}

	if got.Spec.GetHttp()[0].GetTimeout().AsDuration().String() != "1.5s" {
		t.Errorf("the foreign route is now %v", got.Spec.GetHttp()[0])
	}

	_, err := w.services().Patch(t.Context(), "billing", types.JSONPatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "intent") {
		t.Errorf("a patch whose test fails: %v", err)
	}
}

func TestPatchRefusals(t *testing.T) {
	w := newWorld(t, objects.Config{})
	stale := w.create(billing).ResourceVersion
	w.patch("billing", types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`)

	before := w.store.Snapshot()

	for name, test := range map[string]struct {
		form    types.PatchType
		patch   string
		code    int32
		mention string
	}{
		"stale version":       {types.MergePatchType, `{"metadata":{"resourceVersion":"` + stale + `"}}`, 409, "modified"},
		"stale in JSON Patch": {types.JSONPatchType, `[{"op":"replace","path":"/metadata/resourceVersion","value":"` + stale + `"}]`, 409, "modified"},
		"stale test":          {types.JSONPatchType, `[{"op":"test","path":"/metadata/resourceVersion","value":"` + stale + `"}]`, 422, "resourceVersion"},
		"missing path":        {types.JSONPatchType, `[{"op":"replace","path":"/spec/http/9","value":{}}]`, 422, "/spec/http/9"},
		"not a patch":         {types.JSONPatchType, `{"op":"test"}`, 400, "JSON Patch"},
		"not a merge patch":   {types.MergePatchType, `[]`, 400, "object"},
		"not JSON":            {types.MergePatchType, `{`, 400, "merge patch"},
		"unknown field":       {types.JSONPatchType, `[{"op":"add","path":"/spec/http/0/mirrored","value":[]}]`, 400, `unknown field "spec.http[0].mirrored"`},
		"wrong type":          {types.MergePatchType, `{"spec":{"http":{}}}`, 422, "spec.http"},
		"wrong scalar":        {types.MergePatchType, `{"spec":{"hosts":[1]}}`, 422, "spec.hosts[0]"},
		"bad duration":        {types.JSONPatchType, `[{"op":"add","path":"/spec/http/0/timeout","value":"soon"}]`, 422, "soon"},
		"two of one":          {types.JSONPatchType, `[{"op":"add","path":"/spec/http/0/match/0/uri/exact","value":"/"}]`, 422, "only one of exact and prefix"},
		"renamed":             {types.MergePatchType, `{"metadata":{"name":"other"}}`, 400, "name"},
		"another kind":        {types.MergePatchType, `{"kind":"Gateway"}`, 400, "kind"},
		"server-side apply":   {types.ApplyPatchType, `{}`, 415, "json-patch"},
		"strategic":           {types.StrategicMergePatchType, `{}`, 415, "json-patch"},
		"too large":           {types.MergePatchType, `{"metadata":{"annotations":{"a":"` + strings.Repeat("a", 3<<20) + `"}}}`, 413, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.services().Patch(t.Context(), "billing", test.form, []byte(test.patch), metav1.PatchOptions{})

			status, ok := err.(apierrors.APIStatus)
			if !ok || status.Status().Code != test.code || !strings.Contains(err.Error(), test.mention) {
				t.Errorf("got %v", err)
			}
		})
	}

	if after := w.store.Snapshot(); after.Version != before.Version {
		t.Error("a refused patch left a trace")
	}

	_, err := w.services().Patch(t.Context(), "nobody", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a patch of nothing: %v", err)
	}
}

func (w *world) patch(name string, form types.PatchType, patch string, subresources ...string) *networkingv1.VirtualService {
	w.t.Helper()

	return must[*networkingv1.VirtualService](w.t)(
		w.services().Patch(w.t.Context(), name, form, []byte(patch), metav1.PatchOptions{}, subresources...))
}

func TestUnknownFieldsAreRefusedUnlessAskedOtherwise(t *testing.T) {
	w := newWorld(t, objects.Config{})

	const body = `{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"NAME","lables":{}},
		"spec":{"hosts":["a"],"hosts":["b"],"http":[{"mirrored":[]}]},"extra":1}`

	for mode, code := range map[string]int{"": 400, "Strict": 400, "Warn": 201, "Ignore": 201, "Lax": 400} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost,
			w.server.URL+"/apis/networking.istio.io/v1/namespaces/default/virtualservices?fieldValidation="+mode,
			strings.NewReader(strings.ReplaceAll(body, "NAME", "a"+strings.ToLower(mode))))

		response, err := w.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}

		_ = response.Body.Close()

		if response.StatusCode != code {
			t.Errorf("%q: got %s", mode, response.Status)
		}

		if got := len(response.Header.Values("Warning")); (mode == "Warn") != (got == 4) {
			t.Errorf("%q: %d warnings: %v", mode, got, response.Header.Values("Warning"))
		}
	}

	for _, vs := range w.store.Snapshot().VirtualServices {
		if len(vs.Spec.GetHosts()) != 1 || vs.Spec.GetHosts()[0] != "b" {
			t.Errorf("kept %v", vs)
		}
	}
}
