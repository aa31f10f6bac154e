package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// rights let ada steer rollouts as far as promote, and bob look.
const rights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: serin, name: steers}
rules:
  - {apiGroups: [serin.dev], resources: [agents], verbs: [get, list, watch, setweight, promote, abort]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: [serin-controller], verbs: [get]}
  - {apiGroups: [""], resources: [pods/portforward], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: serin, name: looks}
rules:
  - {apiGroups: [serin.dev], resources: [agents], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: [serin-controller], verbs: [get]}
  - {apiGroups: [""], resources: [pods/portforward], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: serin, name: steers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: steers}
subjects: [{kind: ServiceAccount, namespace: people, name: ada}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: serin, name: looks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looks}
subjects: [{kind: ServiceAccount, namespace: people, name: bob}]
`

// person runs the command with a kubeconfig of their own.
type person struct {
	*platform

	kubeconfig string
}

// user is a service account with a token; the rights are those of its roles.
func (p *platform) user(name string) person {
	p.Helper()

	config, err := shared.ConfigFor(p.Context(), "people", name)
	p.must(err)

	path := filepath.Join(p.TempDir(), name)
	p.must(cluster.WriteKubeconfig(path, config))

	return person{p, path}
}

// run runs a program with arguments, and returns what it says and its exit code.
func (p person) run(program string, arguments ...string) (output, problems string, code int) {
	p.Helper()

	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()

	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	command.Dir = p.TempDir()

	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs

	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}

	p.must(err)

	return out.String(), errs.String(), 0
}

func (p person) serin(arguments ...string) (output, problems string, code int) {
	p.Helper()

	return p.run(cluster.Program("serin"), arguments...)
}

// TestCommandsOnACluster steers a rollout with the command line, as people with different rights.
func TestCommandsOnACluster(t *testing.T) {
	p := serin(t)
	p.must(shared.Namespace(t.Context(), "people", nil))
	p.must(shared.Apply(t.Context(), rights))

	admin := person{p, shared.Kubeconfig}
	ada, bob, eve := p.user("ada"), p.user("bob"), p.user("eve")

	for who, one := range map[string]person{"admin": admin, "ada": ada, "bob": bob} {
		output, problems, code := one.serin("canary", "status", "billing", "-n", install.Namespace, "-o", "json")

		answer := &rolloutv1.ListRolloutsResponse{}
		if err := protojson.Unmarshal([]byte(output), answer); code != 0 || err != nil || answer.GetRollouts()[0].GetAgent() != "billing" {
			t.Errorf("%s: exit code %d: %v\n%s%s", who, code, err, output, problems)
		}
	}

	if _, problems, code := eve.serin("canary", "status", "billing", "-n", install.Namespace); code == 0 || !strings.Contains(problems, "forbidden") {
		t.Errorf("eve may look: exit code %d\n%s", code, problems)
	}

	candidate := p.prompt("billing", "\nBe precise.")
	p.await("billing", "at 5%", carries(candidate, 5))

	_, problems, code := bob.serin("canary", "set", "billing", "40", "-n", install.Namespace)
	for _, words := range []string{"setweight", "billing", "system:serviceaccount:people:bob", "kubectl auth can-i"} {
		if code == 0 || !strings.Contains(problems, words) {
			t.Errorf("bob, who may look: exit code %d, want %q\n%s", code, words, problems)
		}
	}

	if output, problems, code := ada.serin("canary", "set", "billing", "40", "-n", install.Namespace); code != 0 {
		t.Errorf("ada: exit code %d\n%s%s", code, output, problems)
	}

	p.await("billing", "at 40%", carries(candidate, 40))

	if output, problems, code := admin.serin("canary", "abort", "billing", "-n", install.Namespace, "--reason", "as a test"); code != 0 {
		t.Errorf("admin: exit code %d\n%s%s", code, output, problems)
	}

	p.await("billing", "aborted", func(r *rolloutv1.Rollout) bool { return r.GetPhase() == rolloutv1.Phase_PHASE_FAILED })

	output, problems, code := bob.serin("canary", "history", "billing", "-n", install.Namespace)
	for _, words := range []string{"system:serviceaccount:people:ada", "admin", "as a test"} {
		if code != 0 || !strings.Contains(output, words) {
			t.Errorf("history: exit code %d, want %q\n%s%s", code, words, output, problems)
		}
	}

	if output, problems, code := admin.serin("agents", "list", "-n", install.Namespace); code != 0 || !strings.Contains(output, "scheduling") {
		t.Errorf("agents list: exit code %d\n%s%s", code, output, problems)
	}

	plugin := filepath.Join(t.TempDir(), "kubectl-serin")
	p.must(os.Symlink(cluster.Program("serin"), plugin))

	if output, problems, code := admin.run(plugin, "canary", "status", "-n", install.Namespace); code != 0 || !strings.Contains(output, "triage") {
		t.Errorf("kubectl serin: exit code %d\n%s%s", code, output, problems)
	}
}
