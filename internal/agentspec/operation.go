package agentspec

// Rollout is how a new revision takes over.
type Rollout struct {
	// Steps are the candidate's percentages in order, rising from 1 to 100.
	//
	// +kubebuilder:validation:items:XValidation:rule="self >= 1 && self <= 100",messageExpression="'%d is out of range, 1 to 100 percent'.format([self])"
	// +kubebuilder:validation:XValidation:rule="[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19].all(i, i >= size(self) || self[i] > self[i-1])",messageExpression="[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19].filter(i, i < size(self) && self[i] <= self[i-1]).map(i, '%d is not more than the step before, %d'.format([self[i], self[i-1]]))[0]"
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self[size(self)-1] == 100",message="the last step must be 100"
	Steps []int32 `json:"steps,omitempty" default:"5,25,50,100" max:"20"`
	// Pause is the least time at each step of an automatic rollout.
	Pause Duration `json:"pause,omitempty" default:"10m" min:"1s" max:"720h"`
	// Promotion is manual, where a person promotes each step, or automatic, where gates do.
	Promotion string `json:"promotion,omitempty" default:"manual" enum:"manual,automatic"`
	// UndoWindow is how long the revision before stays warm after a promotion.
	UndoWindow Duration `json:"undoWindow,omitempty" default:"15m" min:"1s" max:"720h"`
	// RetireIdle is how long a replaced revision must have been without a turn before it goes.
	RetireIdle Duration `json:"retireIdle,omitempty" default:"24h" min:"1s" max:"720h" upto:"retireAfter"`
	// RetireAfter is when a replaced revision goes at the latest.
	RetireAfter Duration `json:"retireAfter,omitempty" default:"168h" min:"1s" max:"8760h"`
	// ExcludeTenants never meet a candidate.
	ExcludeTenants []string `json:"excludeTenants,omitempty" max:"64" items:"128" blank:"no" unique:""`
}

// SLA is what users may expect of the agent's own part of a turn.
type SLA struct {
	// P99 is the latency that 99 of 100 segments keep. Automatic rollouts abort above it.
	P99 Duration `json:"p99,omitempty" default:"30s" min:"1ms" max:"24h"`
}

// Scaling is how many replicas a cluster runs; one machine runs one process.
type Scaling struct {
	// MinReplicas is the floor.
	MinReplicas int32 `json:"minReplicas,omitempty" default:"2" min:"1" max:"1000" upto:"maxReplicas"`
	// MaxReplicas is the ceiling.
	MaxReplicas int32 `json:"maxReplicas,omitempty" default:"20" min:"1" max:"1000"`
	// MaxConcurrentSegments is how many segments one process runs at once.
	MaxConcurrentSegments int32 `json:"maxConcurrentSegments,omitempty" default:"256" min:"1" max:"100000"`
}

// Pod is a pod template that is merged over the one that a cluster makes for the agent, as by `kubectl patch
// --type=strategic`: containers, volumes and the like are merged by their names, so that the container "agent" can be
// given resources and any other name adds a container. The ambassador is among initContainers, by its name.
type Pod struct {
	// Metadata is added to the pods' own.
	Metadata PodMetadata `json:"metadata,omitzero"`
	// Spec is the spec of a pod as Kubernetes defines it: resources, nodeSelector, tolerations, affinity, volumes,
	// containers and so on; see `kubectl explain pod.spec`. Only a cluster looks into it.
	Spec Object `json:"spec,omitempty"`
}

// PodMetadata are the labels and annotations of a pod.
type PodMetadata struct {
	// Labels of the pods. The platform's own can't be changed.
	Labels map[string]string `json:"labels,omitempty" max:"64"`
	// Annotations of the pods.
	Annotations map[string]string `json:"annotations,omitempty" max:"64"`
}
