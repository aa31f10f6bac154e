package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// Websockets come first; where they are not known, SPDY does.
func TestWaysToAPod(t *testing.T) {
	for _, noWebsockets := range []bool{false, true} {
		c, flags := inCluster(t, newFakeRollouts(t, anIdleRollout()))
		c.noWebsockets = noWebsockets

		code, stdout, stderr := runRemotely(t, append([]string{"canary", "status"}, flags...)...)
		if code != 0 || !strings.Contains(stdout, "triage") || stderr != "" {
			t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
		}

		want := "GET serin-controller-0"
		if noWebsockets {
			want += ", POST serin-controller-0"
		}

		if got := c.seenForwards(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// changingHands answers once, and not at all the second time.
type changingHands struct {
	rolloutsAtTheDoor

	calls chan string
}

func (c changingHands) PromoteRollout(ctx context.Context, _ *rolloutv1.PromoteRolloutRequest) (*rolloutv1.PromoteRolloutResponse, error) {
	c.calls <- "promote"
	<-ctx.Done()

	return nil, ctx.Err()
}

// When another controller leads, calls go there; one that may have been carried out is not sent again.
func TestLeaderChanges(t *testing.T) {
	rollouts := withRevisions(newFakeRollouts(t, aRollout()))
	c := newFakeCluster(t)
	hands := changingHands{rolloutsAtTheDoor{fakeRollouts: rollouts}, make(chan string, 1)}
	stop := c.lead("serin-controller-0", hands)
	term := remoteTerminal(t)

	flags := c.kubeconfig()
	at, err := (&clusterFlags{kubeconfig: flags[1], namespace: clusterNamespace}).find(term.env)
	if err != nil {
		t.Fatal(err)
	}

	client, err := newClusterClient(at)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()

	if _, err := client.rollouts(t.Context(), "billing"); err != nil {
		t.Fatal(err)
	}

	failed := make(chan error, 1)

	go func() {
		_, err := client.steer(t.Context(), "billing", "promote", &rolloutv1.PromoteRolloutRequest{})
		failed <- err
	}()

	<-hands.calls
	stop()

	if err := <-failed; !fault.Is(err, "OUTCOME_UNKNOWN") || fault.CodeOf(err) != codes.Aborted {
		t.Errorf("%v", err)
	}

	c.lead("serin-controller-1", rolloutsAtTheDoor{fakeRollouts: rollouts})

	if _, err := client.rollouts(t.Context(), "billing"); err != nil {
		t.Error(err)
	}

	if got := c.seenForwards(); !strings.HasPrefix(got, "GET serin-controller-0") || !strings.HasSuffix(got, "GET serin-controller-1") {
		t.Error(got)
	}
}

func TestClusterRefuses(t *testing.T) {
	c, flags := inCluster(t, newFakeRollouts(t, aRollout()))
	c.allow = func(attributes *authorizationv1.ResourceAttributes) bool { return attributes.Verb == "get" }

	for line, want := range map[string]string{
		"abort billing": `serin: user "ann" may not abort agent "billing" in namespace "agents"; check with: kubectl auth can-i abort agents.serin.dev/billing -n agents` + "\n",
		"status -w":     `serin: user "ann" may not watch agents in namespace "agents"; check with: kubectl auth can-i watch agents.serin.dev -n agents` + "\n",
	} {
		code, _, stderr := runRemotely(t, append(append([]string{"canary"}, strings.Fields(line)...), flags...)...)
		if code != 1 || stderr != want {
			t.Errorf("%s: exit %d, %s", line, code, stderr)
		}
	}

	empty := newFakeCluster(t)

	code, _, stderr := runRemotely(t, append([]string{"canary", "status"}, empty.kubeconfig()...)...)
	if code != 2 || !strings.Contains(stderr, `no controller of Serin leads in the cluster of context "test", namespace "agents"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Flags come before the environment, and a cluster that nobody named is the last resort.
func TestWhoIsMeant(t *testing.T) {
	c, flags := inCluster(t, newFakeRollouts(t, anIdleRollout()))
	local := newFakeRollouts(t, aRollout())
	kubeconfig := flags[1]
	none := filepath.Join(t.TempDir(), "none")

	running := t.TempDir()
	if err := os.MkdirAll(filepath.Join(running, "run"), 0o700); err != nil {
		t.Fatal(err)
	}

	up, _ := json.Marshal(map[string]string{"http": local.URL})
	if err := os.WriteFile(filepath.Join(running, "run", "up.json"), up, 0o600); err != nil {
		t.Fatal(err)
	}

	const (
		gateway = "billing   progressing"
		cluster = "triage   idle"
	)

	for name, one := range map[string]struct {
		env, program, args string
		code               int
		out, err           string
	}{
		"a serin up runs here":     {env: "SERIN_DATA=" + running, out: gateway},
		"but a cluster is named":   {env: "SERIN_DATA=" + running, args: "-n agents", out: cluster},
		"or in the environment":    {env: "SERIN_CONTEXT=test SERIN_DATA=" + running, args: "-n agents", out: cluster},
		"a gateway is named":       {env: "SERIN_CONTEXT=test", args: "--url " + local.URL, out: gateway},
		"both are named":           {args: "-n agents --url " + local.URL, code: 2, err: "name one of them"},
		"kubectl's plugin":         {env: "SERIN_DATA=" + running, program: "/usr/bin/kubectl-serin", code: 2, err: `namespace "elsewhere"`},
		"a plugin with a gateway":  {program: "kubectl_serin", args: "--data " + running, out: gateway},
		"nobody is named":          {env: "SERIN_DATA=" + none, code: 2, err: `no serin up runs in ` + none + `: using the cluster of context "test", namespace "elsewhere"`},
		"there is no such context": {args: "--context prod", code: 2, err: `has no context "prod"; there are: test`},
		"a data directory":         {args: "--data " + none, code: 2, err: "no running serin up found in " + none},
		"there is no kubeconfig":   {env: "KUBECONFIG=" + none + " SERIN_DATA=" + none, code: 2, err: "no running serin up found in " + none},
	} {
		t.Run(name, func(t *testing.T) {
			environment := map[string]string{"KUBECONFIG": kubeconfig}

			for pair := range strings.FieldsSeq(one.env) {
				key, value, _ := strings.Cut(pair, "=")
				environment[key] = value
			}

			term := remoteTerminal(t)
			term.env.Program, term.env.Getenv = one.program, func(name string) string { return environment[name] }

			code := term.run(append([]string{"canary", "status"}, strings.Fields(one.args)...)...)
			if code != one.code || !strings.Contains(term.out.String(), one.out) || !strings.Contains(term.err.String(), one.err) {
				t.Errorf("exit %d, %s\n%s", code, term.err, term.out)
			}
		})
	}

	_ = c
}

// A file is applied as an Agent, once, and what the controller makes of it is shown.
func TestStartInACluster(t *testing.T) {
	declared, err := agentspec.LoadOne(writeDeclared(t, strings.Replace(declaredYAML, "[{agent: scheduling}, ", "[", 1)), "billing")
	if err != nil {
		t.Fatal(err)
	}

	revision := agentspec.Short(agentspec.Revision(declared))
	file := writeDeclared(t, strings.Replace(declaredYAML, "[{agent: scheduling}, ", "[", 1))

	begun := aRollout()
	begun.Candidate = revision

	rollouts := newFakeRollouts(t, aRollout())
	rollouts.streams = [][]*rolloutv1.WatchRolloutsResponse{{changeTo(anIdleRollout()), changeTo(begun)}}

	c, flags := inCluster(t, rollouts)

	var applied []string

	c.onApply = func(agent map[string]any) error {
		text, err := json.Marshal(agent)
		applied = append(applied, string(text))

		return err
	}

	args := append([]string{"canary", "start", "billing", "-f", file, "--steps", "10,100", "--pause", "2m", "--auto", "--adopt"}, flags...)

	code, stdout, stderr := runRemotely(t, args...)
	if code != 0 || !strings.Contains(stdout, "25% to "+revision) || len(applied) != 1 {
		t.Fatalf("exit %d, %s\n%s\n%s", code, stderr, stdout, applied)
	}

	for _, want := range []string{`"namespace":"agents"`, `"inline":"You bill."`, `"steps":[10,100]`, `"pause":"2m0s"`, `"promotion":"automatic"`, `"kind":"Agent"`, `"serin.dev/adopt":"true"`} {
		if !strings.Contains(applied[0], want) {
			t.Errorf("no %s in %s", want, applied[0])
		}
	}

	c.onApply = func(map[string]any) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "agents"}, "billing", context.DeadlineExceeded)
	}

	if code, _, stderr := runRemotely(t, args...); code != 1 || !strings.Contains(stderr, "agent billing is managed by someone else") {
		t.Errorf("exit %d, %s", code, stderr)
	}

	if rollouts.seen() != "" {
		t.Errorf("a command was given beside it: %s", rollouts.seen())
	}
}

func TestAgentsListInACluster(t *testing.T) {
	c := newFakeCluster(t)
	c.agents = []any{map[string]any{
		"apiVersion": "serin.dev/v1alpha1", "kind": "Agent", "metadata": map[string]any{"name": "billing", "namespace": "agents"},
		"spec": map[string]any{
			"description": "Bills.", "prompt": map[string]any{"inline": "p"}, "model": map[string]any{"name": "default"},
			"tools": []any{map[string]any{"name": "shop_refund"}},
		},
		"status": map[string]any{"stable": "aaaaaaaaaaaa", "candidate": "bbbbbbbbbbbb", "weight": 25, "phase": "Progressing"},
	}}

	code, stdout, stderr := runRemotely(t, append([]string{"agents", "list"}, c.kubeconfig()...)...)
	want := `In the cluster of context "test", namespace "agents":
AGENT     STABLE         CANDIDATE      WEIGHT   PHASE         ENTRY   MODEL     TOOLS         HANDOFFS
billing   aaaaaaaaaaaa   bbbbbbbbbbbb   25%      Progressing           default   shop_refund   -
`

	if code != 0 || stdout != want {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}

	term := remoteTerminal(t)
	flags := c.kubeconfig()
	term.env.Getenv = func(name string) string { return map[string]string{"KUBECONFIG": flags[1]}[name] }

	// Nobody named the cluster; the context's namespace is another one, which this server has not.
	if code := term.run("agents", "list", "-o", "json"); code != 0 || !strings.Contains(term.out.String(), `"source": "file"`) ||
		!strings.Contains(term.err.String(), "no cluster is listed: ") {
		t.Errorf("exit %d, %s\n%s", code, term.err, term.out)
	}

	code, stdout, _ = runRemotely(t, append([]string{"agents", "list", "-o", "json", "-f", writeDeclared(t, strings.Replace(declaredYAML, "handoffs: [{agent: scheduling}, {agent: triage, when: Someone is lost.}]\n  tools: [{name: shop_refund}]", "entry: true", 1))}, flags...)...)
	if code != 0 || !strings.Contains(stdout, `"source": "file"`) || !strings.Contains(stdout, `"source": "cluster"`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// A plugin's help says what a person types.
func TestPluginHelp(t *testing.T) {
	term := remoteTerminal(t)
	term.env.Program = "/usr/local/bin/kubectl-serin"

	if code := term.run("canary", "promote", "--help"); code != 0 || !strings.Contains(term.out.String(), "kubectl serin canary promote AGENT [flags]") ||
		!strings.Contains(term.out.String(), "  kubectl serin canary promote billing --full") {
		t.Errorf("exit %d\n%s", code, term.out)
	}

	if code := term.run("canary", "promote"); code != 2 || !strings.Contains(term.err.String(), "(see kubectl serin canary promote --help)") {
		t.Errorf("exit %d, %s", code, term.err)
	}
}
