// Package gateway is the users' door: ConversationService over gRPC and over REST with server-sent events, bearer
// tokens, and the dispatcher that brings every turn to the agent that owns it.
//
// How it hangs together: the methods of [Service] (conversations.go, messages.go, events.go, inputs.go, turns.go) know
// nothing of transports. The guard (guard.go) stands before all of them: it finds out who calls, validates, limits
// time, recovers and turns errors into what outsiders may see. Both doors go through it: [Service.NewPublicServer]
// serves it as gRPC; [Service.Handler] puts grpc-gateway before it for unary methods, and an SSE encoder (sse.go) that
// looks like a gRPC stream for the streaming ones.
//
// A turn outlives its request: it is in the log before it is dispatched, and the dispatcher (dispatcher.go) belongs to
// the Service.
package gateway
