// Package services is the map of the house: one room per service, every room of one shape (Config, Service, New,
// Register, Policy), and no room imports another: they speak through package gen.
//
//	agent         runs turns: model, tools, handoffs. HandoffService; one process per agent.
//	contextstore  owns all state: event logs, turns and their leases, pins, claims of tool calls, checkpoints, shared
//	              values. ContextService. It decides who may write; nobody else keeps conversations.
//	tools         owns tool servers and executes calls, each at most once. ToolExecuteService.
//	ambassador    the one LLM endpoint that agents see: providers, keys, retries, fallbacks. OpenAI's HTTP API.
//
// Beside them: package gateway is the users' door (REST, server-sent events, gRPC) and dispatches turns; package
// mesh/identity gives every process its certificate; package internal/app wires everything.
package services
