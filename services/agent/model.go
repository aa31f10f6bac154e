package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"
	"go.opentelemetry.io/otel/propagation"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// Headers that the ambassador sets on answers, and one that this agent sets on requests.
const (
	headerSimulated = "serin-simulated"
	headerProvider  = "serin-provider"
	headerAgent     = "serin-agent"
)

// modelClient asks the ambassador. It never retries: that is the ambassador's part.
type modelClient struct {
	completions openai.ChatCompletionService
	embeddings  openai.EmbeddingService
	// formless are the models whose providers can't be asked for a form of the answer; the prompt asks for it, too.
	formless   sync.Map
	spec       agentspec.Model
	propagator propagation.TextMapPropagator
	// base is the API's root.
	base *url.URL
}

// modelRequest is one model call.
type modelRequest struct {
	system string
	prompt []chat
	tools  []tool
	routes []route
	// maxOutput is the most tokens of the answer.
	maxOutput int64
	// format is the form of the answer, if it must have one.
	format *format
	// classifier is set where not the agent speaks but something decides: it has a model of its own or, by default, the
	// agent's, and none of the agent's parameters.
	classifier bool
	model      string
}

// format asks a provider for JSON.
type format struct {
	name   string
	schema any
}

// answer is what a model call came to.
type answer struct {
	text      string
	calls     []*eventv1.ToolCall
	finish    string
	usage     *eventv1.Usage
	model     string
	provider  string
	simulated bool
}

func newModelClient(config Config) (*modelClient, error) {
	base, err := url.Parse(config.LLM.BaseURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("LLM.BaseURL %q: want a URL such as http://127.0.0.1:7070/v1", config.LLM.BaseURL)
	}

	if strings.Trim(base.Path, "/") == "" {
		base.Path = "/v1"
	}

	options := []option.RequestOption{
		option.WithBaseURL(base.String()), option.WithHTTPClient(config.LLM.HTTPClient), option.WithMaxRetries(0),
		option.WithHeader(headerAgent, config.Agent.Metadata.Name),
	}

	return &modelClient{
		base: base, spec: config.Agent.Spec.Model, propagator: config.Telemetry.Propagator,
		completions: openai.NewChatCompletionService(options...), embeddings: openai.NewEmbeddingService(options...),
	}, nil
}

// embed asks for a text's vector.
func (m *modelClient) embed(ctx context.Context, model, text string) ([]float32, error) {
	answer, err := m.embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(text)},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	}, m.trace(ctx))
	if err != nil {
		return nil, fmt.Errorf("embedding: %w", err)
	}

	if len(answer.Data) != 1 || len(answer.Data[0].Embedding) == 0 {
		return nil, errors.New("embedding: want one vector")
	}

	return vectorOf(answer.Data[0].Embedding)
}

// maxDimensions is how many numbers a vector may have that the store takes.
const maxDimensions = 4096

// vectorOf checks that numbers are a vector which can be compared with others.
func vectorOf(numbers []float64) ([]float32, error) {
	vector, zero := make([]float32, len(numbers)), true

	for i, number := range numbers {
		vector[i] = float32(number)
		zero = zero && vector[i] == 0

		if math.IsNaN(number) || math.IsInf(float64(vector[i]), 0) {
			return nil, fmt.Errorf("embedding: %v is no number of a vector", number)
		}
	}

	if zero || len(numbers) > maxDimensions {
		return nil, fmt.Errorf("embedding: %d numbers, all zero: %t; want 1 to %d, not all of them zero", len(numbers), zero, maxDimensions)
	}

	return vector, nil
}

// call streams an answer and shows its text as it comes. A provider that can't be asked for a form is asked without.
func (m *modelClient) call(ctx context.Context, request modelRequest, show func(text string)) (*answer, error) {
	name := cmp.Or(request.model, m.spec.Name)
	if _, formless := m.formless.Load(name); formless {
		request.format = nil
	}

	answer, err := m.once(ctx, request, show)
	if errors.Is(err, errFormless) && request.format != nil {
		m.formless.Store(name, true)

		request.format = nil
		answer, err = m.once(ctx, request, show)
	}

	return answer, err
}

// once makes one request.
func (m *modelClient) once(ctx context.Context, request modelRequest, show func(text string)) (*answer, error) {
	var (
		response  *http.Response
		connected atomic.Bool
	)

	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // once more, where the server has refused a request unread
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})

	stream := m.completions.NewStreaming(traced, m.params(request), option.WithResponseInto(&response), m.trace(ctx))
	defer stream.Close() //nolint:errcheck // the answer is whole by then, or the error is already known

	var gathered gathering

	for stream.Next() {
		show(gathered.add(stream.Current()))
	}

	if err := stream.Err(); err != nil {
		return nil, &modelError{error: describe(err, response, connected.Load()), class: classOfCall(err, response)}
	}

	if gathered.finish == "" {
		return nil, &modelError{error: errors.New("the answer was cut off in the middle"), class: classCut}
	}

	return gathered.answer(request, response), nil
}

// trace lets the ambassador go on with the turn's trace.
func (m *modelClient) trace(ctx context.Context) option.RequestOption {
	return option.WithMiddleware(func(request *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		if m.propagator != nil {
			m.propagator.Inject(ctx, propagation.HeaderCarrier(request.Header))
		}

		return next(request)
	})
}

func (m *modelClient) params(request modelRequest) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
		Model:               m.spec.Name,
		Messages:            messages(request),
		Tools:               tools(request),
		MaxCompletionTokens: openai.Int(request.maxOutput),
		StreamOptions:       openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}

	if request.format != nil {
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: request.format.name, Schema: request.format.schema},
		}
	}

	if request.model != "" {
		params.Model = request.model
	} else if len(m.spec.Fallbacks) > 0 {
		params.SetExtraFields(map[string]any{"models": m.spec.Fallbacks})
	}

	if request.classifier {
		return params
	}

	if m.spec.Temperature != nil {
		params.Temperature = openai.Float(*m.spec.Temperature)
	}

	if m.spec.TopP != nil {
		params.TopP = openai.Float(*m.spec.TopP)
	}

	return params
}

func messages(request modelRequest) []openai.ChatCompletionMessageParamUnion {
	var list []openai.ChatCompletionMessageParamUnion
	if request.system != "" {
		list = append(list, openai.SystemMessage(request.system))
	}

	for _, chat := range request.prompt {
		switch chat.Role {
		case roleUser:
			list = append(list, openai.UserMessage(chat.Text))
		case roleTool:
			list = append(list, openai.ToolMessage(chat.Text, chat.CallID))
		default:
			list = append(list, assistant(chat))
		}
	}

	return list
}

func assistant(chat chat) openai.ChatCompletionMessageParamUnion {
	said := &openai.ChatCompletionAssistantMessageParam{}
	if chat.Text != "" {
		said.Content.OfString = param.NewOpt(chat.Text)
	}

	for _, call := range chat.Calls {
		said.ToolCalls = append(said.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{
			OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
				ID: call.ID,
				Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{
					Name: call.Tool, Arguments: call.Arguments,
				},
			},
		})
	}

	return openai.ChatCompletionMessageParamUnion{OfAssistant: said}
}

func tools(request modelRequest) []openai.ChatCompletionToolUnionParam {
	list := make([]openai.ChatCompletionToolUnionParam, 0, len(request.tools)+len(request.routes))

	for _, tool := range request.tools {
		list = append(list, function(tool.name, tool.description, tool.schema))
	}

	for _, route := range request.routes {
		list = append(list, function(route.tool(), route.description, handoffSchema()))
	}

	return list
}

func function(name, description string, schema map[string]any) openai.ChatCompletionToolUnionParam {
	definition := shared.FunctionDefinitionParam{Name: name, Parameters: schema}
	if description != "" {
		definition.Description = openai.String(description)
	}

	return openai.ChatCompletionFunctionTool(definition)
}

// handoffSchema describes a [wish].
func handoffSchema() map[string]any {
	text := func(description string) map[string]any {
		return map[string]any{"type": "string", "description": description}
	}

	return map[string]any{
		"type": "object", "required": []string{"reason"}, "additionalProperties": false,
		"properties": map[string]any{
			"reason":  text("Why the other agent should take over, in a sentence."),
			"summary": text("What the other agent needs to know of the conversation."),
		},
	}
}
