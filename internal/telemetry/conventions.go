package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
)

// Names of OpenTelemetry's conventions for generative AI
// (https://github.com/open-telemetry/semantic-conventions-genai, v0.1.0). They are in development: whatever is renamed there
// is renamed here, and nowhere else.
const (
	OperationName       = attribute.Key("gen_ai.operation.name")
	ProviderName        = attribute.Key("gen_ai.provider.name")
	RequestModel        = attribute.Key("gen_ai.request.model")
	RequestMaxTokens    = attribute.Key("gen_ai.request.max_tokens")
	RequestStream       = attribute.Key("gen_ai.request.stream")
	ResponseModel       = attribute.Key("gen_ai.response.model")
	FinishReasons       = attribute.Key("gen_ai.response.finish_reasons")
	TimeToFirstChunk    = attribute.Key("gen_ai.response.time_to_first_chunk")
	ConversationID      = attribute.Key("gen_ai.conversation.id")
	AgentName           = attribute.Key("gen_ai.agent.name")
	AgentVersion        = attribute.Key("gen_ai.agent.version")
	PromptName          = attribute.Key("gen_ai.prompt.name")
	PromptVersion       = attribute.Key("gen_ai.prompt.version")
	ToolName            = attribute.Key("gen_ai.tool.name")
	ToolType            = attribute.Key("gen_ai.tool.type")
	ToolCallID          = attribute.Key("gen_ai.tool.call.id")
	InputTokens         = attribute.Key("gen_ai.usage.input_tokens")
	OutputTokens        = attribute.Key("gen_ai.usage.output_tokens")
	CacheReadTokens     = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	TokenType           = attribute.Key("gen_ai.token.type")
	ErrorType           = attribute.Key("error.type")
	DataSourceID        = attribute.Key("gen_ai.data_source.id")
	RequestTopK         = attribute.Key("gen_ai.request.top_k")
	ServerAddress       = attribute.Key("server.address")
	HTTPMethod          = attribute.Key("http.request.method")
	HTTPRoute           = attribute.Key("http.route")
	HTTPStatus          = attribute.Key("http.response.status_code")
	RPCSystem           = attribute.Key("rpc.system.name")
	RPCMethod           = attribute.Key("rpc.method")
	ServiceName         = attribute.Key("service.name")
	ServiceNamespace    = attribute.Key("service.namespace")
	ServiceVersion      = attribute.Key("service.version")
	PodName             = attribute.Key("k8s.pod.name")
	PodNamespace        = attribute.Key("k8s.namespace.name")
	ServiceInstance     = attribute.Key("service.instance.id")
	olderProviderSystem = attribute.Key("gen_ai.system")
)

// What holds content of messages: recorded only if [Telemetry.Content] is set.
const (
	SystemInstructions = attribute.Key("gen_ai.system_instructions")
	InputMessages      = attribute.Key("gen_ai.input.messages")
	OutputMessages     = attribute.Key("gen_ai.output.messages")
	ToolArguments      = attribute.Key("gen_ai.tool.call.arguments")
	ToolResult         = attribute.Key("gen_ai.tool.call.result")
	RetrievalQuery     = attribute.Key("gen_ai.retrieval.query.text")
	RetrievalDocuments = attribute.Key("gen_ai.retrieval.documents")
)

// What the conventions have no name for.
const (
	Agent         = attribute.Key("serin.agent")
	Revision      = attribute.Key("serin.revision")
	TurnID        = attribute.Key("serin.turn.id")
	TurnOutcome   = attribute.Key("serin.turn.outcome")
	Segment       = attribute.Key("serin.segment")
	SegmentEpoch  = attribute.Key("serin.epoch")
	SegmentStep   = attribute.Key("serin.step")
	GuardrailRule = attribute.Key("serin.guardrail.rule")
	HandoffFrom   = attribute.Key("serin.handoff.from")
	HandoffTo     = attribute.Key("serin.handoff.to")
	ToolOutcome   = attribute.Key("serin.tool.outcome")
	CostUSD       = attribute.Key("serin.cost_usd")
	Simulated     = attribute.Key("serin.simulated")
	ProviderTry   = attribute.Key("serin.try")
	ProviderQueue = attribute.Key("serin.queue_wait_seconds")

	RetrievedPassages = attribute.Key("serin.retrieval.passages")
	RecalledMemories  = attribute.Key("serin.memory.recalled")
)

// Operations, the values of [OperationName].
const (
	OperationInvokeAgent = "invoke_agent"
	OperationChat        = "chat"
	OperationExecuteTool = "execute_tool"
	OperationRetrieval   = "retrieval"
	OperationHandoff     = "handoff" // the conventions have none

	// OperationSearchMemory is not in the conventions, either.
	OperationSearchMemory = "search_memory"
)

// Names of metrics of the same conventions.
const (
	MetricInferenceDuration  = "gen_ai.client.inference.duration"
	MetricFirstChunk         = "gen_ai.client.inference.time_to_first_chunk"
	MetricInput              = "gen_ai.client.inference.usage.input_tokens"
	MetricOutput             = "gen_ai.client.inference.usage.output_tokens"
	MetricCacheRead          = "gen_ai.client.inference.usage.cache_read.input_tokens"
	MetricCallInput          = "gen_ai.client.inference.operation.input_tokens"
	MetricCallOutput         = "gen_ai.client.inference.operation.output_tokens"
	MetricInvokeAgent        = "gen_ai.invoke_agent.duration"
	MetricExecuteTool        = "gen_ai.execute_tool.duration"
	MetricOlderUsage         = "gen_ai.client.token.usage"
	MetricOlderDuration      = "gen_ai.client.operation.duration"
	UnitTokens               = "{token}"
	UnitSeconds              = "s"
	olderNamesChoice         = "gen_ai/dup"
	captureContentVariable   = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
	stabilityChoicesVariable = "OTEL_SEMCONV_STABILITY_OPT_IN"
)

// TokenBuckets are the conventions' boundaries for counts of tokens.
func TokenBuckets() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}

// WithOlder adds, to a metric's attributes, the older name of the provider.
func WithOlder(labels []attribute.KeyValue) []attribute.KeyValue {
	older := slices.Clone(labels)

	for _, label := range labels {
		if label.Key == ProviderName {
			older = append(older, olderProviderSystem.String(label.Value.AsString()))
		}
	}

	return older
}
