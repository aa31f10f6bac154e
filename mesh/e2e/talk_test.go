package e2e_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// TestConversation has a user's conversation pass from agent to agent and use a tool.
func TestConversation(t *testing.T) {
	p := serin(t)

	conversation, err := p.gateway.Begin(t.Context())
	p.must(err)

	turn, err := p.gateway.Say(t.Context(), conversation, "I was charged twice for March, please look at my invoices.")
	p.must(err)

	if turn.GetState() == conversationv1.TurnState_TURN_STATE_FAILED {
		t.Errorf("the turn ended as %v", turn)
	}

	events, err := p.gateway.Events(t.Context(), conversation)
	p.must(err)

	joined, handoffs, results := []string{}, 0, 0

	for _, event := range events {
		switch {
		case event.GetAgentJoined() != nil:
			joined = append(joined, event.GetAgentJoined().GetAgent())
		case event.GetHandoff() != nil:
			handoffs++
		case event.GetToolResult() != nil && event.GetToolResult().GetOutcome() == eventv1.ToolResult_OUTCOME_OK:
			results++
		}
	}

	if !slices.Contains(joined, "triage") || !slices.Contains(joined, "billing") || handoffs == 0 || results == 0 {
		t.Errorf("joined: %v, %d handoffs, %d results of tools: %v", joined, handoffs, results, events)
	}
}

// TestTrafficIsOnIstiosDashboards: both ends of a handoff tell of it in Istio's words, with revisions for versions.
func TestTrafficIsOnIstiosDashboards(t *testing.T) {
	p := serin(t)

	conversation, err := p.gateway.Begin(t.Context())
	p.must(err)

	_, err = p.gateway.Say(t.Context(), conversation, "I was charged twice for March, please look at my invoices.")
	p.must(err)

	stable := map[string]string{"triage": p.rollout("triage").GetStable(), "billing": p.rollout("billing").GetStable()}

	for at, want := range map[string]string{
		"triage": `destination_version="` + stable["billing"] + `".*reporter="source".*source_version="` + stable["triage"] + `"`,
		"billing": `destination_service="billing.serin.svc.cluster.local".*destination_version="` + stable["billing"] +
			`".*reporter="destination".*source_app="triage"`,
	} {
		form := regexp.MustCompile(`(?m)^istio_requests_total\{.*` + want)

		p.eventually("the metrics of "+at+" have "+want, func(ctx context.Context) error {
			pages := ""

			for _, pod := range p.podsOf(at, stable[at]) {
				page, err := fetch(ctx, "http://"+pod.Status.PodIP+":"+pod.Annotations["prometheus.io/port"]+pod.Annotations["prometheus.io/path"])
				if err != nil {
					return err
				}

				pages += page
			}

			if !form.MatchString(pages) {
				return errors.New(pages)
			}

			return nil
		})
	}
}

func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}

	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()

	page, err := io.ReadAll(answer.Body)

	return string(page), err
}
