package controller

import (
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/rpc"
)

// Policy says who may call which method of RolloutService: the gateway on behalf of operators, and an operator's own
// certificate.
func Policy() rpc.Policy {
	policy := rpc.Policy{}

	for _, method := range []string{
		rolloutv1.RolloutService_ListRollouts_FullMethodName,
		rolloutv1.RolloutService_GetRollout_FullMethodName,
		rolloutv1.RolloutService_WatchRollouts_FullMethodName,
		rolloutv1.RolloutService_StartRollout_FullMethodName,
		rolloutv1.RolloutService_SetWeight_FullMethodName,
		rolloutv1.RolloutService_PauseRollout_FullMethodName,
		rolloutv1.RolloutService_ResumeRollout_FullMethodName,
		rolloutv1.RolloutService_PromoteRollout_FullMethodName,
		rolloutv1.RolloutService_AbortRollout_FullMethodName,
		rolloutv1.RolloutService_UndoRollout_FullMethodName,
		rolloutv1.RolloutService_RetryRollout_FullMethodName,
		rolloutv1.RolloutService_ListHistory_FullMethodName,
		rolloutv1.RolloutService_GetRevision_FullMethodName,
	} {
		policy[method] = rpc.Names(rpc.Gateway, rpc.Operator)
	}

	return policy
}
