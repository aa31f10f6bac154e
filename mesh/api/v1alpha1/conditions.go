package v1alpha1

// The types of an agent's conditions. Ready and RolloutProgressing are True in the good case, Degraded is False.
const (
	// ConditionReady: conversations are served by the stable revision, as far as the controller can see.
	ConditionReady = "Ready"
	// ConditionRolloutProgressing: a rollout is under way.
	ConditionRolloutProgressing = "RolloutProgressing"
	// ConditionDegraded: something is not as declared and does not pass by itself, or has not for a while.
	ConditionDegraded = "Degraded"
)

// The reasons of Ready. Those from ReasonInvalid on say that the declaration is not carried out; the revision before
// goes on.
const (
	ReasonServing        = "Serving"
	ReasonStarting       = "Starting"
	ReasonNoReadyPod     = "NoReadyPod"
	ReasonDraining       = "Draining"       // the agent was deleted and conversations finish
	ReasonInvalid        = "Invalid"        // the spec is wrong in a way that the API server can't see
	ReasonPromptMissing  = "PromptMissing"  // the ConfigMap or its key does not exist
	ReasonDigestMismatch = "DigestMismatch" // the prompt is not the one that was declared
	ReasonReference      = "UnknownReference"
	ReasonEntry          = "EntryConflict" // not exactly one agent of the namespace has entry: true
	ReasonPod            = "InvalidPod"
)

// The reasons of RolloutProgressing. Each is a phase, but for Aborted, of a rollout that ended so.
const (
	ReasonIdle        = "Idle"
	ReasonPreparing   = "Preparing"
	ReasonProgressing = "Progressing"
	ReasonPaused      = "Paused"
	ReasonPromoting   = "Promoting"
	ReasonAborting    = "Aborting"
	ReasonSucceeded   = "Succeeded"
	ReasonAborted     = "Aborted"
)

// The reasons of Degraded.
const (
	ReasonAsDeclared       = "AsDeclared"
	ReasonRejected         = "RevisionRejected"   // the declared revision was aborted or undone
	ReasonDrift            = "MeshDrift"          // someone else's weights stand, and the policy is to hold
	ReasonMeshRefused      = "MeshRefused"        // the API server refuses the mesh's objects
	ReasonWithdrawals      = "WithdrawalsPending" // the context store has not confirmed withdrawals
	ReasonStoreUnreachable = "ContextUnreachable"
	ReasonQuota            = "PodsRefused" // a quota, policy or limit refuses pods
)
