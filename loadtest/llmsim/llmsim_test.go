package llmsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
	"go.uber.org/goleak"

	"github.com/serinhq/serin/loadtest/llmsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// 2026-11-23 is a Monday.
func monday() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }

func start(t *testing.T, cfg llmsim.Config) (openai.Client, string) {
	t.Helper()

	if cfg.Now == nil {
		cfg.Now = monday
	}

	sim, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	server := httptest.NewServer(sim)
	transport := &http.Transport{}

	t.Cleanup(server.Close)
	t.Cleanup(transport.CloseIdleConnections)

	return openai.NewClient(option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: transport})), server.URL
}

// agent is what an agent's requests have in common.
type agent struct {
	prompt string
	tools  []openai.ChatCompletionToolUnionParam
}

func fn(name, description, schema string) openai.ChatCompletionToolUnionParam {
	parameters := shared.FunctionParameters{}
	if err := json.Unmarshal([]byte(schema), &parameters); err != nil {
		panic(err)
	}

	return openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: name, Description: openai.String(description), Parameters: parameters,
	})
}

func handoff(name, description string) openai.ChatCompletionToolUnionParam {
	return fn("handoff_to_"+name, description, `{"type":"object","required":["reason","summary"],"properties":{
		"reason":{"type":"string"},"summary":{"type":"string"}}}`)
}

func triage() agent {
	return agent{
		`You are the first person that customers of Larkline meet. Larkline sells internet and phone lines.
Find out what the customer needs, then act:
- Charges, invoices, payments and refunds are for billing.
- Appointments with a technician, and moving or cancelling one, are for scheduling.
- Simple questions about Larkline you answer yourself.
Pass the conversation on as soon as you know where it belongs. Never promise a refund or an appointment.`,
		[]openai.ChatCompletionToolUnionParam{
			handoff("billing", "The customer asks about an invoice, a charge, a payment or a refund."),
			handoff("scheduling", "The customer wants to book, move or cancel an appointment or a visit of a technician."),
		},
	}
}

func billing() agent {
	return agent{
		"You are a billing specialist. Look the invoices up before you say anything about them. Refund only what was charged by mistake.",
		[]openai.ChatCompletionToolUnionParam{
			fn("billing_list_invoices",
				"List the customer's invoices and charges of the last months; find charges billed twice, amounts and refunds.",
				`{"type":"object","properties":{"filter":{"type":"string"},"charged_twice":{"type":"boolean"}}}`),
			fn("billing_get_invoice", "Get one invoice by its id, such as INV-1007: its amount, date and whether it was refunded.",
				`{"type":"object","required":["invoice_id"],"properties":{"invoice_id":{"type":"string"}}}`),
			fn("billing_refund",
				"Refund a charge: pay money back to the customer for an invoice, such as one that was charged twice.",
				`{"type":"object","required":["invoice_id","amount_cents","reason"],"properties":{
				"invoice_id":{"type":"string"},"amount_cents":{"type":"integer","minimum":1},"reason":{"type":"string"}}}`),
			fn("calculator", "Calculates an arithmetic expression.",
				`{"type":"object","required":["expression"],"properties":{"expression":{"type":"string"}}}`),
			fn("clock", "Tells the current date and time.", `{"type":"object","properties":{"timezone":{"type":"string"}}}`),
			handoff("scheduling", "The customer wants to book, move or cancel an appointment or a visit of a technician."),
		},
	}
}

func scheduling() agent {
	return agent{
		"You book visits of Larkline's technicians. List the free slots, then book one.",
		[]openai.ChatCompletionToolUnionParam{
			fn("calendar_list_slots",
				"List free appointment slots in the calendar: which times are available to schedule a call or a meeting.",
				`{"type":"object","properties":{"date":{"type":"string","pattern":"^\\d{4}-\\d{2}-\\d{2}$"}}}`),
			fn("calendar_book", "Book an appointment: reserve a free slot of the calendar for the customer.",
				`{"type":"object","required":["slot_id"],"properties":{"slot_id":{"type":"string"},"name":{"type":"string"}}}`),
			fn("clock", "Tells the current date and time.", `{"type":"object","properties":{"timezone":{"type":"string"}}}`),
		},
	}
}

const invoices = `{"invoices":[
	{"invoice_id":"INV-1010","amount_cents":4900,"currency":"EUR","date":"2026-11-01","status":"paid","duplicate_of":"INV-1009"},
	{"invoice_id":"INV-1009","amount_cents":4900,"currency":"EUR","date":"2026-11-01","status":"paid"},
	{"invoice_id":"INV-1008","amount_cents":1500,"currency":"EUR","date":"2026-10-01","status":"paid"}]}`

const slots = `{"slots":[
	{"slot_id":"S-20261124-0900","date":"2026-11-24","time":"09:00","with":"Customer success"},
	{"slot_id":"S-20261124-1100","date":"2026-11-24","time":"11:00","with":"Customer success"},
	{"slot_id":"S-20261125-0900","date":"2026-11-25","time":"09:00","with":"Customer success"}]}`

// results answer the tools that the transcript tests use.
var results = map[string]string{
	"billing_list_invoices": invoices,
	"billing_get_invoice":   `{"invoice_id":"INV-1008","amount_cents":1500,"currency":"EUR","status":"paid"}`,
	"billing_refund":        `{"refund_id":"REF-1","invoice_id":"INV-1010","amount_cents":4900}`,
	"calendar_list_slots":   slots,
	"calendar_book":         `{"booking_id":"BOOK-1","slot_id":"S-20261124-0900"}`,
	"clock":                 "2026-11-23T10:00:00Z",
	"calculator":            "42",
}

// talk runs one turn like an agent: it answers calls from results until the model hands off or answers in words. It
// returns the calls and the answer, one a line, and the whole history.
func talk(
	t *testing.T, client openai.Client, agent agent, history []openai.ChatCompletionMessageParamUnion, results map[string]string,
) ([]string, []openai.ChatCompletionMessageParamUnion) {
	t.Helper()

	log := []string{}

	for range 8 {
		completion, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
			Model:    "default",
			Messages: append([]openai.ChatCompletionMessageParamUnion{openai.SystemMessage(agent.prompt)}, history...),
			Tools:    agent.tools,
		})
		if err != nil {
			t.Fatal(err)
		}

		message := completion.Choices[0].Message
		history = append(history, message.ToParam())

		if len(message.ToolCalls) == 0 {
			return append(log, message.Content), history
		}

		for _, call := range message.ToolCalls {
			log = append(log, call.Function.Name+" "+call.Function.Arguments)

			if strings.HasPrefix(call.Function.Name, "handoff_to_") {
				return log, append(history, openai.ToolMessage("Control passed.", call.ID))
			}

			history = append(history, openai.ToolMessage(results[call.Function.Name], call.ID))
		}
	}

	t.Fatalf("the turn does not end: %q", log)

	return nil, nil
}

func says(text string) []openai.ChatCompletionMessageParamUnion {
	return []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}
}

func TestTriageHandsOff(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for text, want := range map[string]string{
		"An invoice was charged twice":                       "handoff_to_billing",
		"My invoice was charged twice, please refund it":     "handoff_to_billing",
		"I'd like to book an appointment for Tuesday":        "handoff_to_scheduling",
		"Refund the duplicate charge and then book a call":   "handoff_to_billing",
		"Can a technician come by?":                          "handoff_to_scheduling",
		"Hello!":                                             "",
		"What can you do?":                                   "",
		"Thanks a lot":                                       "",
		"Which internet plans does Larkline sell for homes?": "",
	} {
		log, _ := talk(t, client, triage(), says(text), results)

		got, arguments, _ := strings.Cut(log[0], " ")
		if want == "" && strings.HasPrefix(got, "handoff_to_") || want != "" && got != want {
			t.Errorf("%q: got %q, want %q", text, log, want)
		}

		if want != "" && !strings.Contains(arguments, text) {
			t.Errorf("%q: the handoff says %s", text, arguments)
		}
	}
}

func TestBillingLooksBeforeItRefunds(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for _, text := range []string{"My invoice was charged twice, please refund it", "An invoice was charged twice"} {
		log, _ := talk(t, client, billing(), says(text), results)

		want := []string{
			"billing_list_invoices {}",
			`billing_refund {"amount_cents":4900,"invoice_id":"INV-1010","reason":"The user says: ` + text + `."}`,
		}
		if diff := cmp.Diff(want, log[:len(log)-1]); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}

		answer := log[len(log)-1]
		if !strings.Contains(answer, "3 invoices") || !strings.Contains(answer, "refund id REF-1") {
			t.Errorf("the answer does not say what happened: %s", answer)
		}
	}
}

func TestBillingNamedInvoice(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	log, _ := talk(t, client, billing(), says("Please refund invoice INV-1008, I cancelled in time"), results)

	if len(log) != 3 || !strings.HasPrefix(log[0], `billing_get_invoice {"invoice_id":"INV-1008"}`) ||
		!strings.Contains(log[1], `"amount_cents":1500,"invoice_id":"INV-1008"`) {
		t.Errorf("got %q", log)
	}
}

func TestBillingOnlyLooksIfAskedToLook(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	log, _ := talk(t, client, billing(), says("Show me my invoices"), results)

	if len(log) != 2 || log[0] != "billing_list_invoices {}" {
		t.Errorf("got %q", log)
	}
}

func TestNoDuplicateNoRefund(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for name, list := range map[string]string{
		"none":     `{"invoices":[{"invoice_id":"INV-1","amount_cents":1,"status":"paid"}]}`,
		"refunded": `{"invoices":[{"invoice_id":"INV-2","amount_cents":1,"status":"refunded","duplicate_of":"INV-1"}]}`,
		"empty":    `{"invoices":[]}`,
	} {
		log, _ := talk(t, client, billing(), says("I was charged twice"), map[string]string{"billing_list_invoices": list})

		if len(log) != 2 || !strings.Contains(log[1], "nothing that it clearly applies to") {
			t.Errorf("%s: got %q", name, log)
		}
	}
}

func TestRefundThenHandoff(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	history := says("Refund the duplicate charge and then book a call")

	first, history := talk(t, client, billing(), history, results)
	if len(first) != 3 || !strings.HasPrefix(first[1], "billing_refund") || !strings.HasPrefix(first[2], "handoff_to_scheduling") {
		t.Fatalf("billing: %q", first)
	}

	second, _ := talk(t, client, scheduling(), history, results)
	if len(second) != 3 || !strings.HasPrefix(second[0], "calendar_list_slots") ||
		second[1] != `calendar_book {"slot_id":"S-20261124-0900"}` || !strings.Contains(second[2], "BOOK-1") {
		t.Errorf("scheduling: %q", second)
	}
}

func TestSchedulingBooksTheDay(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	log, _ := talk(t, client, scheduling(), says("I'd like to book an appointment for Wednesday at 9am, my name is Ada"), results)

	want := []string{
		`calendar_list_slots {"date":"2026-11-25"}`,
		`calendar_book {"name":"Ada","slot_id":"S-20261125-0900"}`,
	}
	if diff := cmp.Diff(want, log[:len(log)-1]); diff != "" {
		t.Error(diff)
	}
}

func TestRejectionIsTold(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	answers := map[string]string{
		"billing_list_invoices": invoices, "billing_refund": "Rejected by a person: the customer is known for this",
	}

	log, _ := talk(t, client, billing(), says("An invoice was charged twice"), answers)
	if len(log) != 3 || !strings.Contains(log[2], "could not refund: Rejected by a person: the customer is known for this.") {
		t.Errorf("got %q", log)
	}
}

func TestToolErrorIsTold(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	log, _ := talk(t, client, billing(), says("Show my invoices"), map[string]string{
		"billing_list_invoices": `{"error":{"message":"the database is down"}}`,
	})
	if len(log) != 2 || !strings.Contains(log[1], "could not list invoices: the database is down.") {
		t.Errorf("got %q", log)
	}
}

func TestBuiltinTools(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for text, want := range map[string]string{
		"Please calculate 6 * 7": `calculator {"expression":"6 * 7"}`,
		"What time is it?":       `clock {}`,
	} {
		if log, _ := talk(t, client, billing(), says(text), results); log[0] != want {
			t.Errorf("%q: got %q", text, log)
		}
	}
}

func TestOtherDomains(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	ops := agent{"You run servers.", []openai.ChatCompletionToolUnionParam{
		fn("get_weather", "Returns the weather of a city.",
			`{"type":"object","required":["city"],"properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}}}`),
		fn("search_docs", "Searches the handbook for how things are done.",
			`{"type":"object","required":["query"],"properties":{"query":{"type":"string"},"limit":{"type":"integer","default":5}}}`),
		fn("restart_service", "Restarts a service.",
			`{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}`),
		fn("create_ticket", "Creates a ticket for the team.", `{"type":"object","required":["title","email"],"properties":{
			"title":{"type":"string","maxLength":20},"email":{"type":"string","format":"email"},"priority":{"type":"string","enum":["low","high"]}}}`),
	}}

	for text, want := range map[string]string{
		"How is the weather in Oslo in celsius?":     `get_weather {"city":`,
		"Search the handbook for onboarding":         `search_docs {"query":"search handbook onboarding"}`,
		"Create a high ticket, I am ada@example.org": `create_ticket {"email":"ada@example.org","priority":"high","title":"Create a high tic…"}`,
		"The service is slow":                        "",
	} {
		log, _ := talk(t, client, ops, says(text), map[string]string{})
		if !strings.HasPrefix(log[0], want) || want == "" && len(log) != 1 {
			t.Errorf("%q: got %q", text, log)
		}
	}
}

func TestParallelLookups(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	both := agent{tools: append(billing().tools, scheduling().tools...)}

	log, _ := talk(t, client, both, says("Show me my invoices and the available slots"), results)
	if len(log) != 3 || log[0] != "calendar_list_slots {}" || log[1] != "billing_list_invoices {}" {
		t.Errorf("got %q", log)
	}
}

func TestToolChoice(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	params := openai.ChatCompletionNewParams{Model: "m", Messages: says("Hello!"), Tools: billing().tools}

	params.ToolChoice.OfAuto = openai.String("required")
	if completion, err := client.Chat.Completions.New(t.Context(), params); err != nil || len(completion.Choices[0].Message.ToolCalls) == 0 {
		t.Errorf("required: %v", err)
	}

	params.Messages = says("Show my invoices")
	params.ToolChoice.OfAuto = openai.String("none")

	if completion, err := client.Chat.Completions.New(t.Context(), params); err != nil || len(completion.Choices[0].Message.ToolCalls) > 0 {
		t.Errorf("none: %v", err)
	}

	params.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "clock"})
	completion, err := client.Chat.Completions.New(t.Context(), params)

	if err != nil || completion.Choices[0].Message.ToolCalls[0].Function.Name != "clock" {
		t.Errorf("named: %v", err)
	}
}

func TestStructuredOutput(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	schema := map[string]any{}
	_ = json.Unmarshal([]byte(`{"type":"object","required":["severity","summary"],"properties":{
		"severity":{"type":"string","enum":["low","high"]},"summary":{"type":"string"}}}`), &schema)

	completion, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: "m", Messages: says("The outage is of high severity"),
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
			OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
				Name: "incident", Schema: schema,
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	want := `{"severity":"high","summary":"The user said: The outage is of high severity."}`
	if got := completion.Choices[0].Message.Content; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDeterministic(t *testing.T) {
	first, _ := start(t, llmsim.Config{Seed: 1})
	same, _ := start(t, llmsim.Config{Seed: 1})
	ask := func(client openai.Client, text string) string {
		completion, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
			Model: "m", Messages: append([]openai.ChatCompletionMessageParamUnion{openai.SystemMessage("@sim words=40")}, says(text)...),
		})
		if err != nil {
			t.Fatal(err)
		}

		return completion.RawJSON()
	}

	// In another order on purpose.
	a, b := ask(first, "Hello"), ask(first, "Tell me about birds")
	if ask(same, "Tell me about birds") != b || ask(same, "Hello") != a {
		t.Error("the same request got another answer")
	}
}

func TestStreamSaysTheSame(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	params := openai.ChatCompletionNewParams{
		Model: "m", Messages: says("My invoice was charged twice"), Tools: billing().tools,
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}

	whole, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: params.Model, Messages: params.Messages, Tools: params.Tools,
	})
	if err != nil {
		t.Fatal(err)
	}

	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	sum := openai.ChatCompletionAccumulator{}

	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			t.Fatal("the chunks do not add up")
		}
	}

	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}

	got, want := sum.Choices[0], whole.Choices[0]
	if got.FinishReason != want.FinishReason || got.Message.ToolCalls[0].Function.Arguments != want.Message.ToolCalls[0].Function.Arguments ||
		got.Message.ToolCalls[0].ID != want.Message.ToolCalls[0].ID || sum.Usage.TotalTokens != whole.Usage.TotalTokens || sum.Usage.TotalTokens == 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSaysThatItIsSimulated(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	var response *http.Response

	completion, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "m", Messages: says("Hello")},
		option.WithResponseInto(&response))
	if err != nil {
		t.Fatal(err)
	}

	if completion.Model != "simulated-m" || completion.SystemFingerprint != "serin-llmsim" || //nolint:staticcheck // still sent
		completion.JSON.ExtraFields["simulated"].Raw() != "true" || response.Header.Get("serin-simulated") != "true" {
		t.Errorf("got %s with %v", completion.RawJSON(), response.Header)
	}
}

func steered(line, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "m", Messages: append(
		[]openai.ChatCompletionMessageParamUnion{openai.SystemMessage("You are kind.\n  @sim " + line + "\n")}, says(text)...)}
}

func TestSteeredFaults(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for line, status := range map[string]int{"fail=1": 500, "fail=1 status=503": 503, "ratelimit=1 retry_after=2s": 429} {
		_, err := client.Chat.Completions.New(t.Context(), steered(line, "Hello"))

		var told *openai.Error
		if !errors.As(err, &told) || told.StatusCode != status {
			t.Errorf("%s: got %v", line, err)
		}

		if status == 429 && told.Response.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: Retry-After is %q", line, told.Response.Header.Get("Retry-After"))
		}
	}

	for _, line := range []string{"cut=1", "malformed=1"} {
		for i := range 8 {
			stream := client.Chat.Completions.NewStreaming(t.Context(), steered(line, fmt.Sprint("Tell me about birds", i)))
			ended := ""

			for stream.Next() {
				for _, choice := range stream.Current().Choices {
					ended += choice.FinishReason
				}
			}

			// openai-go reports nothing for a cut that looks like a clean end: the missing finish tells.
			if stream.Err() == nil && ended != "" {
				t.Errorf("%s: the stream ended well", line)
			}
		}

		if _, err := client.Chat.Completions.New(t.Context(), steered(line, "Hello")); err == nil {
			t.Errorf("%s: the whole answer is good", line)
		}
	}

	completion, err := client.Chat.Completions.New(t.Context(), steered("refuse=1", "Hello"))
	if err != nil || !strings.Contains(completion.Choices[0].Message.Content, "can't help with that") {
		t.Errorf("refuse: %v, %v", completion, err)
	}

	completion, err = client.Chat.Completions.New(t.Context(), steered("words=200", "Hello"))
	if err != nil || len(strings.Fields(completion.Choices[0].Message.Content)) != 200 {
		t.Errorf("words: %v, %v", completion, err)
	}
}

func TestSharesOfRequests(t *testing.T) {
	client, _ := start(t, llmsim.Config{Faults: llmsim.Faults{Fail: 0.3}})
	failed := 0

	const requests = 400
	for i := range requests {
		if _, err := client.Chat.Completions.New(t.Context(), steered("ttft=0s", fmt.Sprint("Message ", i))); err != nil {
			failed++
		}
	}

	if failed < requests*20/100 || failed > requests*40/100 {
		t.Errorf("%d of %d failed", failed, requests)
	}
}

func TestPassingFaultsPass(t *testing.T) {
	_, url := start(t, llmsim.Config{Faults: llmsim.Faults{RateLimit: 0.5}})
	statuses := map[string]bool{}

	for try := range 30 {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions",
			strings.NewReader(`{"messages":[{"role":"user","content":"Hello"}]}`))
		request.Header.Set("Serin-Try", fmt.Sprint(try))
		request.Close = true

		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()
		statuses[response.Status] = true
	}

	if len(statuses) != 2 {
		t.Errorf("got %v", statuses)
	}
}

func TestPace(t *testing.T) {
	client, _ := start(t, llmsim.Config{})
	began := time.Now()

	if _, err := client.Chat.Completions.New(t.Context(), steered("ttft=60ms tps=200 words=20", "Hello")); err != nil {
		t.Fatal(err)
	}

	// 20 words are some 25 tokens and more: at least 100 ms at 200 a second.
	if took := time.Since(began); took < 160*time.Millisecond {
		t.Errorf("took %s", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	if _, err := client.Chat.Completions.New(ctx, steered("ttft=1h", "Hello")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSimLineIsStrict(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	for line, want := range map[string]string{
		"fial=0.3":          `there is no "fial"; allowed are cut, fail, malformed,`,
		"fail=30%":          "fail=30% is not a share from 0 to 1",
		"fail=2":            "is not a share",
		"fail=NaN":          "is not a share",
		"fail=0.1 fail=0.2": "fail is given twice",
		"ttft=200":          "is not a duration",
		"status=200":        "is not a whole number from 400 to 599",
		"tps=-1":            "is not a number of tokens per second",
	} {
		_, err := client.Chat.Completions.New(t.Context(), steered(line, "Hello"))

		var told *openai.Error
		if !errors.As(err, &told) || told.StatusCode != http.StatusBadRequest || !strings.Contains(told.Message, want) {
			t.Errorf("%s: got %v", line, err)
		}
	}

	// A line that only begins alike is text.
	if _, err := client.Chat.Completions.New(t.Context(), steered("fail=0\n@simple words=x", "Hello")); err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []llmsim.Config{
		{Faults: llmsim.Faults{Fail: 1.5}}, {Faults: llmsim.Faults{Status: 200}}, {TTFT: -1},
	} {
		if _, err := llmsim.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func TestModels(t *testing.T) {
	client, _ := start(t, llmsim.Config{Models: []string{"finch", "serin"}})

	page, err := client.Models.List(t.Context())
	if err != nil || len(page.Data) != 2 || page.Data[1].ID != "serin" {
		t.Errorf("got %v, %v", page, err)
	}
}

func TestBadRequests(t *testing.T) {
	_, url := start(t, llmsim.Config{})

	for body, status := range map[string]int{"{": 400, "{}": 400, `{"messages":[{"role":"user","content":5}]}`: 400} {
		response, err := http.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()

		if response.StatusCode != status {
			t.Errorf("%s: got %s", body, response.Status)
		}
	}

	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// FuzzRequest feeds whole requests with tools, results and steering.
func FuzzRequest(f *testing.F) {
	f.Add("@sim fail=0.3 words=9", "My invoice INV-7 was charged twice on Tuesday at 9am for $4,900.50", invoices, `{"type":"object","required":["invoice_id"],"properties":{"invoice_id":{"type":["string","null"]}}}`)
	f.Add("Today is 2026-01-01", "book", slots, `{"properties":{"a":{"enum":[]},"b":{"type":"array"},"c":{"anyOf":[{"type":"null"}]}},"required":["a","b","c",1]}`)
	f.Add("", "", "", `{"required":{"a":1},"properties":[]}`)
	f.Add("İ today", "\xff", "[[[]]]", `{"properties":{"":{"type":"string"},"_":{"type":"string"}},"required":["","_"]}`)

	sim, err := llmsim.New(llmsim.Config{Now: monday})
	if err != nil {
		f.Fatal(err)
	}

	f.Fuzz(func(t *testing.T, system, text, result, schema string) {
		if strings.Contains(system, "ttft") || strings.Contains(system, "tps") || strings.Contains(system, "slow") || strings.Contains(system, "cut") {
			t.Skip("takes time")
		}

		var parameters any = map[string]any{}
		_ = json.Unmarshal([]byte(schema), &parameters)

		body, err := json.Marshal(map[string]any{
			"model": "m",
			"messages": []any{
				map[string]any{"role": "system", "content": system},
				map[string]any{"role": "user", "content": text},
				map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{
					"id": "c", "function": map[string]any{"name": "billing_list_invoices", "arguments": "{}"},
				}}},
				map[string]any{"role": "tool", "tool_call_id": "c", "content": result},
			},
			"tools": []any{
				map[string]any{"function": map[string]any{"name": "billing_list_invoices", "parameters": map[string]any{}}},
				map[string]any{"function": map[string]any{"name": "billing_refund", "description": text, "parameters": parameters}},
				map[string]any{"function": map[string]any{"name": "get_" + text, "parameters": parameters}},
			},
		})
		if err != nil {
			t.Skip(err)
		}

		recorder := httptest.NewRecorder()
		sim.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", bytes.NewReader(body)))

		if !json.Valid(recorder.Body.Bytes()) && !strings.Contains(system, "malformed") {
			t.Errorf("%d: %s", recorder.Code, recorder.Body)
		}
	})
}
