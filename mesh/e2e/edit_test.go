package e2e_test

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// rollOut appends to what an Agent says and gives its next rollout these steps, in one write as someone does who edits the
// object. It returns the revision that the agent becomes, which is a candidate then.
func (p *platform) rollOut(agent, suffix string, steps ...int64) string {
	p.Helper()

	known := p.rollout(agent).GetCandidate() // before the write, which the controller may take up at once
	before := p.agent(agent)
	after := before.DeepCopy()
	prompt, _, _ := unstructured.NestedString(before.Object, "spec", "prompt", "inline")
	plan := make([]any, 0, len(steps))

	for _, step := range steps {
		plan = append(plan, step)
	}

	p.must(unstructured.SetNestedField(after.Object, prompt+suffix, "spec", "prompt", "inline"))
	p.must(unstructured.SetNestedSlice(after.Object, plan, "spec", "rollout", "steps"))
	p.must(shared.Client.Patch(p.Context(), after, client.MergeFrom(before)))

	return p.await(agent, "with another candidate", func(r *rolloutv1.Rollout) bool {
		return r.GetCandidate() != "" && r.GetCandidate() != known
	}).GetCandidate()
}

// restored has an agent at the end of the test as it is now: what is declared is what is stable, and nothing goes on.
func (p *platform) restored(agent string) {
	p.Helper()

	declared, stable := p.agent(agent), p.rollout(agent).GetStable()

	p.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), patience)
		defer cancel()

		if now, err := p.gateway.Rollout(ctx, agent); err == nil && now.GetStable() != stable && now.GetUndoUntil() != nil {
			if _, err := p.gateway.Steer(ctx, agent, "undo", nil); err != nil {
				p.Error(err)
			}
		}

		if err := redeclare(ctx, declared); err != nil {
			p.Error(err)
		}

		_, err := p.gateway.Await(ctx, agent, "as it was before the test", func(r *rolloutv1.Rollout) bool {
			return r.GetStable() == stable && r.GetCandidate() == "" && r.GetWeight() == 0 && r.GetAppliedWeight() == 0
		})
		if err != nil {
			p.Error(err)
		}
	})
}

// explained logs the conversations in which something happened that must not.
func (p *platform) explained(report *loadtest.Report) {
	p.Helper()

	for _, violation := range report.Violations {
		events, err := p.gateway.Events(p.Context(), violation.Conversation)
		if err != nil {
			p.Error(err)
		}

		text := &strings.Builder{}
		for _, event := range events {
			fmt.Fprintf(text, "  %s\n", protojson.MarshalOptions{}.Format(event))
		}

		p.Logf("%s: %s\n%s", violation.Conversation, violation.Text, text)
	}
}

// redeclare has an Agent's spec be what it was.
func redeclare(ctx context.Context, declared *unstructured.Unstructured) error {
	before := &unstructured.Unstructured{}
	before.SetGroupVersionKind(declared.GroupVersionKind())

	if err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: declared.GetName()}, before); err != nil {
		return err
	}

	after := before.DeepCopy()
	after.Object["spec"] = declared.Object["spec"]

	return shared.Client.Patch(ctx, after, client.MergeFrom(before))
}
