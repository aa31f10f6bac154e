package contextstore

import (
	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
)

// Policy says who may call which method of ContextService. What a caller may append is decided by [Service.Append].
func Policy() rpc.Policy {
	var (
		gateway = rpc.Names(rpc.Gateway)
		tools   = rpc.Names(rpc.Tools)
		work    = rpc.AnyOf(rpc.AnyAgent, gateway)
		readers = rpc.AnyOf(work, rpc.Names(rpc.Operator))
		judges  = rpc.Names(rpc.Controller, rpc.Supervisor, rpc.Operator)
	)

	return rpc.Policy{
		contextv1.ContextService_CreateConversation_FullMethodName: gateway,
		contextv1.ContextService_GetConversation_FullMethodName:    rpc.AnyOf(readers, rpc.Names(rpc.Supervisor)),
		contextv1.ContextService_ListConversations_FullMethodName:  rpc.Names(rpc.Gateway, rpc.Supervisor, rpc.Operator),
		contextv1.ContextService_DeleteConversation_FullMethodName: gateway,
		contextv1.ContextService_Append_FullMethodName:             work,
		contextv1.ContextService_ReadEvents_FullMethodName:         readers,
		contextv1.ContextService_FollowEvents_FullMethodName:       readers,
		contextv1.ContextService_Publish_FullMethodName:            rpc.AnyOf(rpc.AnyAgent, tools),
		contextv1.ContextService_AcquireLease_FullMethodName:       rpc.AnyAgent,
		contextv1.ContextService_RenewLease_FullMethodName:         rpc.AnyAgent,
		contextv1.ContextService_ReleaseLease_FullMethodName:       rpc.AnyAgent,
		contextv1.ContextService_ListResumableTurns_FullMethodName: rpc.Names(rpc.Gateway, rpc.Operator),
		contextv1.ContextService_GetTurn_FullMethodName:            readers,
		contextv1.ContextService_ClaimCall_FullMethodName:          tools,
		contextv1.ContextService_CompleteCall_FullMethodName:       tools,
		contextv1.ContextService_Withdraw_FullMethodName:           rpc.Names(rpc.Controller, rpc.Supervisor),
		contextv1.ContextService_ListRevisions_FullMethodName:      judges,
		contextv1.ContextService_WatchOutcomes_FullMethodName:      judges,
		contextv1.ContextService_SaveCheckpoint_FullMethodName:     rpc.AnyAgent,
		contextv1.ContextService_GetState_FullMethodName:           readers,
		contextv1.ContextService_PutState_FullMethodName:           work,
		contextv1.ContextService_CreateMemory_FullMethodName:       work,
		contextv1.ContextService_SearchMemories_FullMethodName:     work,
		contextv1.ContextService_ListMemories_FullMethodName:       rpc.Names(rpc.Gateway, rpc.Operator),
		contextv1.ContextService_DeleteMemories_FullMethodName:     work,
	}
}
