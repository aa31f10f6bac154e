package contextstore

import (
	"testing"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
)

// TestPolicy walks every method of the service: who is not named here may not call it.
func TestPolicy(t *testing.T) {
	const agent = "billing"

	allowed := map[string][]string{
		"CreateConversation": {rpc.Gateway},
		"GetConversation":    {rpc.Gateway, agent, rpc.Supervisor, rpc.Operator},
		"ListConversations":  {rpc.Gateway, rpc.Supervisor, rpc.Operator},
		"DeleteConversation": {rpc.Gateway},
		"Append":             {rpc.Gateway, agent},
		"ReadEvents":         {rpc.Gateway, agent, rpc.Operator},
		"FollowEvents":       {rpc.Gateway, agent, rpc.Operator},
		"Publish":            {agent, rpc.Tools},
		"AcquireLease":       {agent},
		"RenewLease":         {agent},
		"ReleaseLease":       {agent},
		"ListResumableTurns": {rpc.Gateway, rpc.Operator},
		"GetTurn":            {rpc.Gateway, agent, rpc.Operator},
		"ClaimCall":          {rpc.Tools},
		"CompleteCall":       {rpc.Tools},
		"Withdraw":           {rpc.Controller, rpc.Supervisor},
		"ListRevisions":      {rpc.Controller, rpc.Supervisor, rpc.Operator},
		"WatchOutcomes":      {rpc.Controller, rpc.Supervisor, rpc.Operator},
		"SaveCheckpoint":     {agent},
		"GetState":           {rpc.Gateway, agent, rpc.Operator},
		"PutState":           {rpc.Gateway, agent},
		"CreateMemory":       {rpc.Gateway, agent},
		"SearchMemories":     {rpc.Gateway, agent},
		"ListMemories":       {rpc.Gateway, rpc.Operator},
		"DeleteMemories":     {rpc.Gateway, agent},
	}
	policy := Policy()
	methods := contextv1.File_serin_context_v1_context_proto.Services().Get(0).Methods()

	if len(policy) != methods.Len() {
		t.Errorf("the policy has %d methods, the service %d", len(policy), methods.Len())
	}

	everyone := []string{
		agent, rpc.Gateway, rpc.Context, rpc.Tools, rpc.Ambassador, rpc.Supervisor, rpc.Operator, rpc.Controller, rpc.Mesh,
	}

	for i := range methods.Len() {
		name := string(methods.Get(i).Name())

		caller := policy["/serin.context.v1.ContextService/"+name]
		if caller == nil {
			t.Errorf("%s is not in the policy", name)

			continue
		}

		may := map[string]bool{}
		for _, who := range allowed[name] {
			may[who] = true
		}

		for _, who := range everyone {
			if got := caller(rpc.Identity{Name: who}); got != may[who] {
				t.Errorf("%s by %s: allowed is %v, want %v", name, who, got, may[who])
			}
		}
	}
}
