// Package services is the map of the house: one room per service, every room of one shape (Config, Service, New,
// Register, Policy), and no room imports another: they speak through package gen.
//
//	agent         runs turns: model, tools, guardrails, handoffs. HandoffService; one process per live revision of an
//	              agent. Package pii finds personal data and puts placeholders for it.
//	contextstore  owns all state: event logs, turns and their leases, pins and withdrawals, claims of tool calls, what
//	              segments came to, checkpoints, shared values, memories. ContextService. It decides who may write; nobody else
//	              keeps conversations. Rows are in a file (package sqlite) or in a database that several share (package
//	              postgres).
//	tools         owns tool servers and executes calls, each at most once. ToolExecuteService. Package webapi makes tools
//	              of HTTP requests and OpenAPI documents, package outbound keeps them from where they shall not go.
//	ambassador    the one LLM endpoint that agents see: providers, keys, retries, fallbacks, prices. OpenAI's and
//	              Anthropic's HTTP APIs.
//	retriever     finds passages of documents for an agent's prompts, by words and by vectors. RetrieverService, HTTP and
//	              gRPC on one port that the agent alone reaches.
//	configload    is the job of an init container: fetches an agent's prompt, tools and guardrails, verifies them, and lays
//	              them out for the agent. It serves nobody.
//
// Beside them, package gateway is the users' door (REST, server-sent events, gRPC) and dispatches turns, and mesh is how
// an agent moves from one revision to another:
//
//	mesh/canary      decides, and does nothing: (state, observation, command) -> (state, events).
//	mesh/istio       makes VirtualService, DestinationRule and AuthorizationPolicy say what was decided.
//	mesh/istio/lint  finds what clients without a sidecar would not obey.
//	mesh/controller  observes, has mesh/canary decide, carries it out. RolloutService. On a cluster package kube beside it
//	                 takes declarations from Agents, runs them as Deployments and remembers in their status, and package
//	                 door lets people in who reach it through the API server.
//	mesh/api         is the custom resources Agent and MCPServer.
//	mesh/xds         on one machine, the control plane: the same Istio objects behind a Kubernetes API, served over xDS.
//	mesh/identity    gives every process its certificate, from istiod or from this machine's CA, and its xDS bootstrap.
//	mesh/e2e         is a module of its own: a real API server and istiod, and the tests on them.
//
// Package internal/rpc is how servers and clients are made, internal/telemetry what they record and internal/health whether
// they are ready, package loadtest measures it all from outside, internal/history checks what concurrent clients of a store
// were told, and package internal/app wires everything: internal/app/platform.go is `serin up`, rooms.go what one process
// runs, room_cluster.go and podtemplate.go what a cluster is told.
package services
