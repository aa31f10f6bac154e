package lint

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	istioscheme "istio.io/client-go/pkg/clientset/versioned/scheme"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var update = flag.Bool("update", false, "rewrite the findings under testdata")

// decode reads YAML documents into typed objects.
func decode(t *testing.T, text []byte) []runtime.Object {
	t.Helper()

	scheme := runtime.NewScheme()
	utilruntime.Must(istioscheme.AddToScheme(scheme))
	utilruntime.Must(corev1.AddToScheme(scheme))

	var objects []runtime.Object

	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var fields map[string]any
		if err := yaml.Unmarshal(document, &fields); err != nil {
			t.Fatal(err)
		}

		if len(fields) == 0 {
			continue
		}

		object, _, err := serializer.NewCodecFactory(scheme).UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}

		objects = append(objects, object)
	}

	return objects
}

func printed(findings []Finding) string {
	text := &strings.Builder{}
	for _, finding := range findings {
		fmt.Fprintln(text, finding)
	}

	return text.String()
}

// TestFindings holds objects, and what is found in them.
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runFile(t, file) })
	}
}

func runFile(t *testing.T, file string) {
	t.Helper()

	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}

	want := string(txtar.Format(archive))

	for i := 0; i+1 < len(archive.Files); i += 2 {
		archive.Files[i+1].Data = []byte(printed(Proxyless(decode(t, archive.Files[i].Data)...)))
	}

	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}

		return
	}

	if diff := cmp.Diff(want, string(txtar.Format(archive))); diff != "" {
		t.Errorf("run with -update to accept (-golden +now):\n%s", diff)
	}
}

// A field that a later version of Istio brings has to be judged, and a rule for one that is gone judges nothing.
func TestEveryFieldIsJudged(t *testing.T) {
	for kind, c := range map[string]struct {
		table   table
		message protoreflect.ProtoMessage
	}{
		kindVirtualService:      {virtualServices(), &networking.VirtualService{}},
		kindDestinationRule:     {destinationRules(), &networking.DestinationRule{}},
		kindAuthorizationPolicy: {authorizationPolicies(), &security.AuthorizationPolicy{}},
		kindPeerAuthentication:  {peerAuthentications(), &security.PeerAuthentication{}},
	} {
		unused := maps.Clone(c.table.rules)
		visit(t, kind, c.table, c.message.ProtoReflect().Descriptor(), "", unused)

		if len(unused) > 0 {
			t.Errorf("%s has no fields %v", kind, slices.Sorted(maps.Keys(unused)))
		}
	}
}

// visit goes through all fields but those below what no rule looks into.
func visit(t *testing.T, kind string, judged table, message protoreflect.MessageDescriptor, path string, unused map[string]rule) {
	t.Helper()

	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := strings.TrimPrefix(path+"."+field.JSONName(), ".")

		name := at
		if judged.alias != nil {
			name = judged.alias.Replace(at)
		}

		_, known := judged.rules[name]
		if !known {
			t.Errorf("%s: no rule for %s", kind, name)

			continue
		}

		delete(unused, name)

		if field.IsMap() {
			field = field.MapValue()
		}

		policies := strings.HasSuffix(name, "rafficPolicy") || strings.HasSuffix(name, "portLevelSettings") // their paths have an alias
		below := func(path string) bool { return policies || strings.HasPrefix(path, name+".") }

		if slices.ContainsFunc(slices.Collect(maps.Keys(judged.rules)), below) && field.Message() != nil {
			visit(t, kind, judged, field.Message(), at, unused)
		}
	}
}

func TestFatal(t *testing.T) {
	for severity, want := range map[Severity]bool{Refused: true, Ignored: true, Risky: false} {
		if got := (Finding{Severity: severity}).Fatal(); got != want {
			t.Errorf("%s: %v", severity, got)
		}
	}
}

// What is no object of a kind that there is something to say about is left alone.
func TestOthers(t *testing.T) {
	if found := Proxyless(nil, &corev1.Pod{}, &corev1.PodList{}); len(found) != 0 {
		t.Error(found)
	}
}
