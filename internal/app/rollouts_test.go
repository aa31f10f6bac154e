package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// rollout returns an agent's rollout.
func (p *testPlatform) rollout(agent string) *rolloutv1.Rollout {
	p.t.Helper()

	var answer rolloutv1.GetRolloutResponse
	p.ask(http.MethodGet, "/v1/rollouts/"+agent, nil, &answer)

	return answer.GetRollout()
}

// steer sends a command about an agent's rollout, and returns it as it is then.
func (p *testPlatform) steer(agent, verb string, request proto.Message) *rolloutv1.Rollout {
	p.t.Helper()

	body := map[string]any{}

	if request != nil {
		data, err := protojson.Marshal(request)
		if err != nil {
			p.t.Fatal(err)
		}

		if err := json.Unmarshal(data, &body); err != nil {
			p.t.Fatal(err)
		}
	}

	var answer rolloutv1.GetRolloutResponse // every answer has the rollout in the same place
	p.ask(http.MethodPost, "/v1/rollouts/"+agent+":"+verb, body, &answer)

	return answer.GetRollout()
}

// ask makes a call that must succeed.
func (p *testPlatform) ask(method, path string, body any, answer proto.Message) {
	p.t.Helper()

	status, data := p.call(method, path, body)
	if status != http.StatusOK {
		p.t.Fatalf("%s %s: %d %s", method, path, status, data)
	}

	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, answer); err != nil {
		p.t.Fatalf("%s %s: %v in %s", method, path, err, data)
	}
}

// declaration is an agent of the platform's folder with its prompt changed.
func (p *testPlatform) declaration(agent, addition string) agentspec.Agent {
	p.t.Helper()

	folder := p.config.Agents
	if folder == "" {
		folder = filepath.Join(p.config.Data, "examples")
	}

	set, err := agentspec.Load(folder)
	if err != nil {
		p.t.Fatal(err)
	}

	declared, found := set.Agent(agent)
	if !found {
		p.t.Fatalf("there is no agent %s", agent)
	}

	declared.Spec.Prompt.Inline += addition

	return declared
}

// startCanary starts a rollout of an agent with an addition to its prompt, and returns the candidate's name.
func (p *testPlatform) startCanary(agent, addition string, plan *rolloutv1.Plan) string {
	p.t.Helper()

	declared := p.declaration(agent, addition)

	resolved, err := agentspec.MarshalResolved(declared)
	if err != nil {
		p.t.Fatal(err)
	}

	p.steer(agent, "start", &rolloutv1.StartRolloutRequest{Agent: agent, Declaration: string(resolved), Plan: plan})

	return agentspec.Short(agentspec.Revision(declared))
}

// manual is a plan in which nothing goes on by itself.
func manual(steps ...int32) *rolloutv1.Plan {
	return &rolloutv1.Plan{Steps: steps, Pause: durationpb.New(time.Second)}
}

// awaitRollout polls until the rollout is as wanted.
func (p *testPlatform) awaitRollout(agent, what string, wanted func(*rolloutv1.Rollout) bool) *rolloutv1.Rollout {
	p.t.Helper()

	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		found := p.rollout(agent)
		if wanted(found) {
			return found
		}

		if time.Now().After(deadline) {
			p.t.Fatalf("%s: never %s; it is\n%s", agent, what, protojson.Format(found))
		}
	}
}

// carries is a rollout whose candidate has the weight, in the mesh too.
func carries(candidate string, weight int32) func(*rolloutv1.Rollout) bool {
	return func(found *rolloutv1.Rollout) bool {
		return found.GetCandidate() == candidate && found.GetWeight() == weight && found.GetAppliedWeight() == weight &&
			(found.GetPhase() == rolloutv1.Phase_PHASE_PROGRESSING || found.GetPhase() == rolloutv1.Phase_PHASE_PAUSED)
	}
}

// settled is a rollout that ended, with the stable revision.
func settled(phase rolloutv1.Phase, stable string) func(*rolloutv1.Rollout) bool {
	return func(found *rolloutv1.Rollout) bool { return found.GetPhase() == phase && found.GetStable() == stable }
}

// ownFolder gives the platform a folder of agents that the test may edit.
func ownFolder(tb testing.TB) string {
	tb.Helper()

	dir := tb.TempDir()
	source := filepath.Join("..", "..", "deploy", "local", "agents")

	files, err := os.ReadDir(source)
	if err != nil {
		tb.Fatal(err)
	}

	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(source, file.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file.Name()), data, 0o600)
		}

		if err != nil {
			tb.Fatal(err)
		}
	}

	return dir
}

// edit replaces text in one of the folder's files, in one step.
func edit(tb testing.TB, dir, file, old, replacement string) {
	tb.Helper()

	path := filepath.Join(dir, file)

	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}

	text := strings.Replace(string(data), old, replacement, 1)
	if text == string(data) {
		tb.Fatalf("%s does not hold %q", file, old)
	}

	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}

	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

// problems are what is wrong with the folder.
func (p *testPlatform) problems() []string {
	p.t.Helper()

	var answer rolloutv1.ListRolloutsResponse
	p.ask(http.MethodGet, "/v1/rollouts", nil, &answer)

	return answer.GetProblems()
}

// revisionsOf are the revisions of an agent that a conversation's log names, in order.
func (p *testPlatform) revisionsOf(conversation, agent string) []string {
	p.t.Helper()

	seen := []string{}

	for _, event := range p.events(conversation) {
		if event.GetSegmentStarted() != nil && event.GetAgent() == agent {
			seen = append(seen, event.GetRevision())
		}
	}

	return slices.Compact(seen)
}

// lastRevision is the one that the agent's last event was of.
func (p *testPlatform) lastRevision(conversation, agent string) string {
	p.t.Helper()

	last := ""

	for _, event := range p.events(conversation) {
		if event.GetAgent() == agent && event.GetRevision() != "" {
			last = event.GetRevision()
		}
	}

	return last
}
