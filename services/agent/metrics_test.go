package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/telemetry"
)

// watched is telemetry and how its metrics look in Prometheus.
func watched(t *testing.T, variables map[string]string) (*telemetry.Telemetry, func() string) {
	t.Helper()

	told, err := telemetry.New(telemetry.Options{Writer: io.Discard, Getenv: func(name string) string { return variables[name] }})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := told.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})

	return told, func() string {
		page := httptest.NewRecorder()
		told.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))

		return page.Body.String()
	}
}

// recorded are an agent's metrics and how they look in Prometheus.
func recorded(t *testing.T, variables map[string]string) (*metrics, func() string) {
	t.Helper()

	told, page := watched(t, variables)

	made, err := newMetrics(told, "billing", "0123456789ab")
	if err != nil {
		t.Fatal(err)
	}

	return made, page
}

func callsOfModels(t *testing.T, m *metrics) {
	t.Helper()

	cost := int64(250000)
	usage := &eventv1.Usage{InputTokens: 100, OutputTokens: 20, CachedInputTokens: 60, CostMicros: &cost}
	m.used(t.Context(), usage)
	m.inference.record(t.Context(), inferenceCall{
		model: "default", took: 300 * time.Millisecond, first: 20 * time.Millisecond,
		answer: &answer{provider: "openai", model: "gpt", usage: usage},
	})
	m.inference.record(t.Context(), inferenceCall{model: "default", took: time.Second, class: classTimeout})
}

const (
	whose  = `gen_ai_agent_name="billing",gen_ai_agent_version="0123456789ab",gen_ai_operation_name="chat"`
	byWhom = whose + `,gen_ai_provider_name="openai",gen_ai_request_model="default",gen_ai_response_model="gpt"`
	older  = whose + `,gen_ai_provider_name="openai",gen_ai_request_model="default",gen_ai_response_model="gpt",gen_ai_system="openai"`
)

func TestMetricsOfModelCalls(t *testing.T) {
	made, page := recorded(t, nil)
	callsOfModels(t, made)

	got := page()
	for _, line := range []string{
		`gen_ai_client_inference_duration_seconds_count{` + byWhom + `} 1`,
		`gen_ai_client_inference_duration_seconds_bucket{` + byWhom + `,le="0.4"} 1`,
		`gen_ai_client_inference_duration_seconds_count{error_type="timeout",` + whose + `,gen_ai_request_model="default"} 1`,
		`gen_ai_client_inference_time_to_first_chunk_seconds_count{` + byWhom + `} 1`,
		`gen_ai_client_inference_usage_input_tokens_total{` + byWhom + `} 100`,
		`gen_ai_client_inference_usage_output_tokens_total{` + byWhom + `} 20`,
		`gen_ai_client_inference_usage_cache_read_input_tokens_total{` + byWhom + `} 60`,
		`gen_ai_client_inference_operation_input_tokens_sum{` + byWhom + `} 100`,
		`serin_agent_tokens_total{agent="billing",kind="input",revision="0123456789ab"} 100`,
		`serin_agent_cost_usd_total{agent="billing",revision="0123456789ab"} 0.25`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, onlyOurs(got))
		}
	}

	if strings.Contains(got, "gen_ai_client_token_usage") || strings.Contains(got, "gen_ai_client_operation_duration") {
		t.Error("older names without being asked for")
	}
}

func TestOlderNamesIfAskedFor(t *testing.T) {
	made, page := recorded(t, map[string]string{"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai/dup"})
	callsOfModels(t, made)

	got := page()
	for _, line := range []string{
		`gen_ai_client_token_usage_sum{` + older + `,gen_ai_token_type="input"} 100`,
		`gen_ai_client_token_usage_sum{` + older + `,gen_ai_token_type="output"} 20`,
		`gen_ai_client_operation_duration_seconds_count{` + older + `} 1`,
		`gen_ai_client_inference_duration_seconds_count{` + byWhom + `} 1`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, onlyOurs(got))
		}
	}
}

func TestMetricsOfWhatWasWritten(t *testing.T) {
	made, page := recorded(t, nil)
	made.resumed(t.Context(), "restarted")
	made.noted(t.Context(), []*eventv1.Event{
		{Kind: &eventv1.Event_Handoff{Handoff: &eventv1.Handoff{ToAgent: "triage"}}},
		{Kind: &eventv1.Event_GuardrailTriggered{GuardrailTriggered: &eventv1.GuardrailTriggered{
			Rule: "no-cards", Direction: eventv1.GuardrailTriggered_DIRECTION_OUTPUT,
		}}},
	})

	got := page()
	for _, line := range []string{
		`serin_handoffs_total{from="billing",revision="0123456789ab",to="triage"} 1`,
		`serin_guardrail_hits_total{agent="billing",direction="output",revision="0123456789ab",rule="no-cards"} 1`,
		`serin_segment_resumptions_total{agent="billing",cause="restarted",revision="0123456789ab"} 1`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, onlyOurs(got))
		}
	}
}

func onlyOurs(page string) string {
	var ours bytes.Buffer

	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "serin_") || strings.HasPrefix(line, "gen_ai_") && !strings.Contains(line, "_bucket") {
			ours.WriteString(line)
		}
	}

	return ours.String()
}

func TestClassesOfFailedCalls(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		response *http.Response
		want     string
	}{
		"the ambassador's word":    {&openai.Error{Code: "rate_limit_exceeded", StatusCode: 429}, nil, "rate_limit_exceeded"},
		"no word":                  {&openai.Error{Code: "Sorry, 4711 is no model", StatusCode: 404}, nil, "404"},
		"late":                     {context.DeadlineExceeded, nil, "timeout"},
		"nobody waits":             {context.Canceled, nil, "cancelled"},
		"nobody there":             {errors.New("dial"), nil, "unreachable"},
		"a status alone":           {errors.New("x"), &http.Response{StatusCode: http.StatusBadGateway}, "502"},
		"broken off in the middle": {io.ErrUnexpectedEOF, &http.Response{StatusCode: http.StatusOK}, "cut_stream"},
	} {
		if got := classOfCall(test.err, test.response); got != test.want {
			t.Errorf("%s: class %q, want %q", name, got, test.want)
		}
	}

	inner := &modelError{error: &failure{fail{message: "no"}}, class: "quota"}
	if classOf(inner) != "quota" || classOf(nil) != "" || classOf(errLeaseLost) != "cancelled" || classOf(errors.New("x")) != "_OTHER" {
		t.Error("the class of an error is another one")
	}

	if _, ends := errors.AsType[*failure](inner); !ends {
		t.Error("a failure with a class does not end the turn any more")
	}
}

// TestFirstWords counts a turn's first words once, and not before the user can read them.
func TestFirstWords(t *testing.T) {
	allows := modelReply{text: []string{`{"topics":[]}`}}

	for name, test := range map[string]struct {
		agent  agentspec.Agent
		script func(modelAsked) modelReply
		// early says that words are shown while the model still writes.
		early bool
	}{
		"shown as they come": {spec("billing"), says("It is", " paid."), true},
		"written twice":      {formed(spec("billing")), repairing(`{"total":12.5}`), false},
		"withheld": {func() agentspec.Agent {
			agent := spec("billing")
			agent.Spec.Guardrails.Output = advice(nil)

			return agent
		}(), deciding(allows, says("It is", " paid.")), false},
	} {
		t.Run(name, func(t *testing.T) {
			const count = `serin_turn_time_to_first_token_seconds_count{agent="billing",revision=`

			told, page := watched(t, nil)

			w := newWorld(t, nil)
			w.model.script = func(asked modelAsked) modelReply {
				reply := test.script(asked)
				if !test.early && strings.Contains(page(), count) {
					t.Errorf("counted before %s was asked to say %q", asked.Model, reply.text)
				}

				return reply
			}
			w.start(test.agent, func(config *Config) { config.Telemetry = told })
			w.begin("billing", "Is it paid?")
			w.drive()
			w.verify()

			if got := page(); strings.Count(got, count) != 1 || !regexp.MustCompile(regexp.QuoteMeta(count)+`"[^"]+"} 1\n`).MatchString(got) {
				t.Errorf("%s: %s", name, got)
			}
		})
	}
}

// TestClassifiersAreSeen finds a classifier's call in the trace and in the metrics, as what it is.
func TestClassifiersAreSeen(t *testing.T) {
	told, page := watched(t, nil)
	spans := tracetest.NewSpanRecorder()
	told.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")

	agent := spec("billing")
	agent.Spec.Guardrails.Input = advice(&agentspec.Classifier{Model: "small"})

	w := newWorld(t, deciding(modelReply{text: []string{`{"topics":[]}`}}, says("Yes.")))
	w.start(agent, func(config *Config) { config.Telemetry = told })
	w.begin("billing", "Is it paid?")
	w.drive()
	w.verify()

	rules := map[string]string{}

	for _, span := range spans.Ended() {
		if model, ok := strings.CutPrefix(span.Name(), "chat "); ok {
			set := attribute.NewSet(span.Attributes()...)
			rule, _ := set.Value(telemetry.GuardrailRule)
			rules[model] = rule.AsString()
		}
	}

	if want := map[string]string{"small": "no-advice", agent.Spec.Model.Name: ""}; !maps.Equal(rules, want) {
		t.Errorf("rules of calls by model: %v, want %v", rules, want)
	}

	if !strings.Contains(page(), `gen_ai_request_model="small"`) {
		t.Errorf("not counted: %s", page())
	}
}
