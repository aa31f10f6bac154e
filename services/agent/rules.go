package agent

import (
	"strings"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// handoffPrefix begins the names of the tools that pass control.
const handoffPrefix = "handoff_to_"

// rules are what an agent's file says, as decisions need it.
type rules struct {
	agent     string
	model     string
	maxOutput int64
	budgets   agentspec.Budgets
	// costMicros is the agent's own cost budget, in millionths of a US dollar; 0 is none.
	costMicros int64
	// prices are what its models cost now; only looked at where a budget limits costs.
	prices prices
	system string
	routes []route
	input  []guard
	output []guard
	// redaction hides personal data from the model, and maybe from tools; nil hides nothing.
	redaction *redaction
	// form is what the answer must fit; nil for any text.
	form *form
	// library is what the retriever has for its prompts.
	library library
	// memory is what is remembered of the user.
	memory memory
	// tools are the agent's own tools, as the tools service lists them now.
	tools toolset
}

// route is an agent that control may pass to.
type route struct {
	agent       string
	description string
	history     *eventv1.HistoryFilter
}

func (r route) tool() string { return handoffPrefix + r.agent }

func newRules(agent agentspec.Agent, peers []Peer) (*rules, error) {
	spec := agent.Spec

	input, err := compileGuards("spec.guardrails.input", spec.Guardrails.Input)
	if err != nil {
		return nil, err
	}

	output, err := compileGuards("spec.guardrails.output", spec.Guardrails.Output)
	if err != nil {
		return nil, err
	}

	form, err := newForm(spec.Guardrails.OutputSchema)
	if err != nil {
		return nil, err
	}

	cost, err := costLimit(spec.Budgets)
	if err != nil {
		return nil, err
	}

	rules := &rules{
		costMicros: cost, agent: agent.Metadata.Name, model: spec.Model.Name, maxOutput: spec.Model.MaxOutputTokens,
		budgets: spec.Budgets, routes: newRoutes(spec.Handoffs, peers), input: input, output: output,
		redaction: newRedaction(spec.Guardrails.Redaction), form: form, memory: newMemory(spec.Memory),
	}
	if rules.maxOutput == 0 {
		rules.maxOutput = 1024
	}

	rules.system = systemPrompt(spec.Prompt.Inline, rules.routes) + rules.redaction.hint() +
		rules.memory.hint() + form.hint()

	return rules, nil
}

func newRoutes(handoffs []agentspec.Handoff, peers []Peer) []route {
	routes := make([]route, len(handoffs))

	for i, handoff := range handoffs {
		routes[i] = route{agent: handoff.Agent, description: handoff.When, history: newFilter(handoff)}

		for _, peer := range peers {
			if peer.Name == handoff.Agent && handoff.When == "" {
				routes[i].description = peer.Description
			}
		}
	}

	return routes
}

func newFilter(handoff agentspec.Handoff) *eventv1.HistoryFilter {
	switch handoff.History {
	case "last":
		return &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_LAST_N, LastN: max(1, handoff.LastN)}
	case "no-tools":
		return &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_NO_TOOLS}
	case "summary":
		return &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_SUMMARY}
	default:
		return &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_FULL}
	}
}

// systemPrompt is the agent's own prompt and, if it may hand off, how to.
func systemPrompt(own string, routes []route) string {
	if len(routes) == 0 {
		return own
	}

	var names []string
	for _, route := range routes {
		names = append(names, route.tool())
	}

	return strings.TrimSpace(own) + "\n\nYou can pass the conversation to another agent by calling one of: " +
		strings.Join(names, ", ") + ". Do so as soon as the request is theirs to handle: do not announce it, and do not " +
		"answer for them. Say in the summary what they need to know."
}

// route returns the handoff that a tool's name stands for.
func (r *rules) route(tool string) (route, bool) {
	for _, route := range r.routes {
		if route.tool() == tool {
			return route, true
		}
	}

	return route{}, false
}
