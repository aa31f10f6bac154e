// Package services is the map of the house: one room per service, every room of one shape (Config, Service, New,
// Register, Policy), and no room imports another: they speak through package gen.
//
//	agent         runs turns: model, tools, handoffs. HandoffService; one process per live revision of an agent.
//	contextstore  owns all state: event logs, turns and their leases, pins and withdrawals, claims of tool calls, what
//	              segments came to, checkpoints, shared values. ContextService. It decides who may write; nobody else
//	              keeps conversations.
//	tools         owns tool servers and executes calls, each at most once. ToolExecuteService.
//	ambassador    the one LLM endpoint that agents see: providers, keys, retries, fallbacks. OpenAI's HTTP API.
//
// Beside them, package gateway is the users' door (REST, server-sent events, gRPC) and dispatches turns, and mesh is how
// an agent moves from one revision to another:
//
//	mesh/canary      decides, and does nothing: (state, observation, command) -> (state, events).
//	mesh/istio       makes VirtualService, DestinationRule and AuthorizationPolicy say what was decided.
//	mesh/controller  observes, has mesh/canary decide, carries it out. RolloutService.
//	mesh/xds         on one machine, the control plane: the same Istio objects behind a Kubernetes API, served over xDS.
//	mesh/identity    gives every process its certificate and its xDS bootstrap.
//
// Package internal/rpc is how servers and clients are made, package loadtest measures it all from outside, and package
// internal/app wires everything: internal/app/platform.go is `serin up`, rooms.go what one process runs.
package services
