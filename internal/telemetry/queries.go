package telemetry

// Query is a question that people ask of the metrics.
type Query struct {
	// Title says what the answer is, with its unit.
	Title string
	// PromQL is the question as Prometheus takes it.
	PromQL string
}

// The names of [Queries].
const (
	QueryTurnP50         = "turn-p50"
	QueryTurnP95         = "turn-p95"
	QueryTurnP99         = "turn-p99"
	QueryFirstWordsP95   = "first-words-p95"
	QueryActive          = "active-conversations"
	QueryFailedTurns     = "failed-turns"
	QueryLLMErrors       = "llm-error-rate"
	QueryUsagePerCall    = "usage-per-request"
	QueryUsagePerAgent   = "usage-per-second"
	QueryQueueDepth      = "queue-depth"
	QueryQueueWaitP95    = "queue-wait-p95"
	QueryToolErrors      = "tool-error-rate"
	QueryCost            = "cost-per-hour"
	QueryResumedSegments = "resumptions"
)

// Queries are what dashboards and alerts ask, by name. A test puts them to a Prometheus that watches a platform at work,
// and README.md shows them.
func Queries() map[string]Query {
	return map[string]Query{
		QueryTurnP50: {
			"Latency of turns by agent and revision, in seconds, that half of them keep to",
			`histogram_quantile(0.50, sum by (agent, revision, le) (rate(serin_turn_duration_seconds_bucket[5m])))`,
		},
		QueryTurnP95: {
			"The same for 95 of 100 turns",
			`histogram_quantile(0.95, sum by (agent, revision, le) (rate(serin_turn_duration_seconds_bucket[5m])))`,
		},
		QueryTurnP99: {
			"The same for 99 of 100 turns",
			`histogram_quantile(0.99, sum by (agent, revision, le) (rate(serin_turn_duration_seconds_bucket[5m])))`,
		},
		QueryFirstWordsP95: {
			"Time to the first words of an answer, in seconds, that 95 of 100 turns keep to",
			`histogram_quantile(0.95, sum by (agent, revision, le) (rate(serin_turn_time_to_first_token_seconds_bucket[5m])))`,
		},
		QueryActive: {
			"Conversations that agents work on now",
			`sum by (agent, revision) (active_conversations)`,
		},
		QueryFailedTurns: {
			"Share of turns that failed",
			`sum by (agent, revision) (rate(serin_turn_duration_seconds_count{outcome="failed"}[5m]) or 0 * rate(serin_turn_duration_seconds_count[5m])) / sum by (agent, revision) (rate(serin_turn_duration_seconds_count[5m]))`,
		},
		QueryLLMErrors: {
			"Share of tries at LLM providers that failed",
			`sum by (provider) (rate(serin_llm_requests_total{outcome!="ok"}[5m]) or 0 * rate(serin_llm_requests_total[5m])) / sum by (provider) (rate(serin_llm_requests_total[5m]))`,
		},
		QueryUsagePerCall: {
			"Tokens of an answered LLM request, prompt and answer together",
			`sum by (provider) (rate(serin_llm_tokens_total{kind=~"input|output"}[5m])) / sum by (provider) (rate(serin_llm_requests_total{outcome="ok"}[5m]))`,
		},
		QueryUsagePerAgent: {
			"Tokens a second by agent and revision",
			`sum by (agent, revision) (rate(serin_agent_tokens_total{kind=~"input|output"}[5m]))`,
		},
		QueryQueueDepth: {
			"LLM requests that wait for a provider's slot",
			`sum by (provider) (llm_request_queue_depth)`,
		},
		QueryQueueWaitP95: {
			"Time that they wait, in seconds, at most, for 95 of 100",
			`histogram_quantile(0.95, sum by (provider, le) (rate(serin_llm_queue_wait_seconds_bucket[5m])))`,
		},
		QueryToolErrors: {
			"Share of tool calls that came to nothing",
			`sum by (tool) (rate(serin_tool_calls_total{outcome!="ok"}[5m]) or 0 * rate(serin_tool_calls_total[5m])) / sum by (tool) (rate(serin_tool_calls_total[5m]))`,
		},
		QueryCost: {
			"US dollars an hour by agent and revision",
			`3600 * sum by (agent, revision) (rate(serin_agent_cost_usd_total[5m]))`,
		},
		QueryResumedSegments: {
			"Segments a second that went on after their process was lost",
			`sum by (agent) (rate(serin_segment_resumptions_total{cause="restarted"}[5m]))`,
		},
	}
}
