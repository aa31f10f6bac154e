package objects_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"

	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/mesh/xds/objects"
)

func TestDiscovery(t *testing.T) {
	w := newWorld(t, objects.Config{})
	client := must[*discovery.DiscoveryClient](t)(discovery.NewDiscoveryClientForConfig(w.rest()))

	_, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}

	var got []string

	for _, list := range lists {
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				got = append(got, list.GroupVersion+" "+resource.Name)
			}
		}
	}

	if want := 3*4 + 2*2; len(got) != want {
		t.Errorf("%d resources, want %d: %v", len(got), want, got)
	}

	if version, err := client.ServerVersion(); err != nil || version.Major != "1" {
		t.Errorf("version %v, %v", version, err)
	}

	if paths, err := client.OpenAPIV3().Paths(); err != nil || len(paths) != 5 {
		t.Errorf("paths %v, %v", paths, err)
	}
}

// kubectl runs a command as a person would; it returns what it printed, and whether it succeeded.
func (w *world) kubectl(input string, arguments ...string) (string, bool) {
	w.t.Helper()

	base := []string{"--server", w.server.URL, "--cache-dir", filepath.Join(w.t.TempDir(), "cache"), "-n", "default"}
	command := exec.CommandContext(w.t.Context(), "kubectl", append(base, arguments...)...)
	command.Env = []string{"HOME=" + w.t.TempDir(), "PATH=" + filepath.Dir(command.Path)}
	command.Stdin = strings.NewReader(input)

	var output bytes.Buffer

	command.Stdout, command.Stderr = &output, &output
	err := command.Run()

	return output.String(), err == nil
}

func TestKubectl(t *testing.T) {
	testenv.Require(t, "kubectl")

	w := newWorld(t, objects.Config{})
	changed := strings.Replace(billing, "weight: 100", "weight: 90", 1)
	wrong := strings.Replace(billing, "weight: 100", "wieght: 90", 1)

	for _, step := range []struct {
		input, command string
		succeeds       bool
		mention        []string
	}{
		{"", "get vs", true, []string{"No resources found"}},
		{billing, "apply -f -", true, []string{"virtualservice.networking.istio.io/billing created"}},
		{billing, "apply -f -", true, []string{"billing unchanged"}},
		{changed, "diff -f -", false, []string{"-      weight: 100", "+      weight: 90"}},
		{changed, "apply -f -", true, []string{"billing configured"}},
		{wrong, "apply -f -", false, []string{`unknown field "spec.http[1].route[0].wieght"`}},
		{"", "get vs", true, []string{"NAME", "GATEWAYS", "HOSTS", "AGE", `["billing.default.svc.cluster.local"]`}},
		{"", "get virtualservices.v1beta1.networking.istio.io -A", true, []string{"NAMESPACE", "billing"}},
		{"", "get vs billing -o yaml", true, []string{"apiVersion: networking.istio.io/v1", "weight: 90", "weight: 0", "generation: 2"}},
		{"", "label vs billing team=a", true, []string{"labeled"}},
		{"", "get istio-io -l team=a -o name", true, []string{"virtualservice.networking.istio.io/billing"}},
		{"", `patch vs billing --type=json -p [{"op":"replace","path":"/spec/http/1/route/1/weight","value":10}]`, true, []string{"patched"}},
		{"", `patch vs billing --type=json -p [{"op":"test","path":"/spec/http/1/name","value":"other"}]`, false, []string{"rejected our request", "/spec/http/1/name"}},
		{"", "wait vs/billing --for=jsonpath={.spec.http[1].route[1].weight}=10 --timeout=5s", true, []string{"condition met"}},
		{"", "explain vs.spec.http.retries", true, []string{"attempts", "<integer>"}},
		{"", "describe vs billing", true, []string{"Name:", "billing", "Weight:"}},
		{"", "delete vs billing", true, []string{`"billing" deleted`}},
		{"", "get vs billing", false, []string{"NotFound"}},
	} {
		output, ok := w.kubectl(step.input, strings.Fields(step.command)...)
		if ok != step.succeeds {
			t.Errorf("kubectl %s: success is %t: %s", step.command, ok, output)
		}

		for _, mention := range step.mention {
			if !strings.Contains(output, mention) {
				t.Errorf("kubectl %s: no %q in: %s", step.command, mention, output)
			}
		}
	}
}
