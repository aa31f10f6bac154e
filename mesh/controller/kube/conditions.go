package kube

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

// longestMessage is how long a condition's message may be: a person reads it in a list.
const longestMessage = 1024

// conditionsOf says how an agent is, in short.
func conditionsOf(
	agent *v1alpha1.Agent, rollout *rolloutv1.Rollout, invalid agentspec.Problems, troubles []string,
) []metav1.Condition {
	return []metav1.Condition{
		readyCondition(agent, rollout, invalid), progressingCondition(rollout), degradedCondition(invalid, troubles),
	}
}

// readyCondition is about the stable revision: an edit that can't be taken leaves it as it is.
func readyCondition(agent *v1alpha1.Agent, rollout *rolloutv1.Rollout, invalid agentspec.Problems) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}

	switch {
	case !agent.DeletionTimestamp.IsZero():
		condition.Reason, condition.Message = v1alpha1.ReasonDraining, "it was deleted; conversations that are under way finish"
	case rollout.GetStable() == "" && len(invalid) > 0:
		condition.Reason, condition.Message = reasonFor(invalid), lines(invalid)
	case rollout == nil || rollout.GetStable() == "":
		condition.Reason, condition.Message = v1alpha1.ReasonStarting, "its declaration was not taken yet"
	case rollout.GetLacks() == "":
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonServing
		condition.Message = "revision " + rollout.GetStable() + " serves conversations"
	case ready(rollout, rollout.GetStable()) == 0:
		condition.Reason, condition.Message = v1alpha1.ReasonNoReadyPod, rollout.GetLacks()
	default:
		condition.Reason, condition.Message = v1alpha1.ReasonStarting, rollout.GetLacks()
	}

	return condition
}

func ready(rollout *rolloutv1.Rollout, revision string) int32 {
	for _, one := range rollout.GetRevisions() {
		if one.GetRevision() == revision {
			return one.GetReadyReplicas()
		}
	}

	return 0
}

func progressingCondition(rollout *rolloutv1.Rollout) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionRolloutProgressing, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonIdle, Message: rollout.GetReason(),
	}

	phase := rollout.GetPhase()
	if phase == rolloutv1.Phase_PHASE_FAILED {
		condition.Reason = v1alpha1.ReasonAborted
	} else if name := string(phases[phase]); name != "" {
		condition.Reason = name
	}

	if rollout.GetCandidate() != "" || phase == rolloutv1.Phase_PHASE_ABORTING {
		condition.Status = metav1.ConditionTrue

		if waiting := rollout.GetWaitingFor(); waiting != "" {
			condition.Message += "; waits for " + waiting
		}
	}

	condition.Message = cut(condition.Message)

	return condition
}

func degradedCondition(invalid agentspec.Problems, troubles []string) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAsDeclared, Message: "nothing is wrong",
	}

	switch {
	case len(invalid) > 0:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, reasonFor(invalid), lines(invalid)
	case len(troubles) > 0:
		condition.Status, condition.Reason = metav1.ConditionTrue, reasonOfProblem(troubles[0])
		condition.Message = cut(strings.Join(troubles, "; "))
	}

	return condition
}

// lasting are the problems that do not pass by themselves: pods that start are none.
func lasting(problems []string) []string {
	all := []string{}

	for _, problem := range problems {
		if !strings.HasSuffix(problem, "it is starting") {
			all = append(all, problem)
		}
	}

	return all
}

// reasonOfProblem sorts what the controller says is wrong.
func reasonOfProblem(problem string) string {
	if strings.Contains(problem, refused) {
		return v1alpha1.ReasonQuota
	}

	for _, kind := range []struct{ prefix, reason string }{
		{"someone else changed the mesh", v1alpha1.ReasonDrift},
		{"mesh", v1alpha1.ReasonMeshRefused},
		{"withdraw", v1alpha1.ReasonWithdrawals},
		{"process of", v1alpha1.ReasonNoReadyPod},
		{"the agent is not declared any more", v1alpha1.ReasonDraining},
	} {
		if strings.HasPrefix(problem, kind.prefix) {
			return kind.reason
		}
	}

	return v1alpha1.ReasonInvalid
}

// reasonFor sorts what is wrong with a declaration by the first field of it.
func reasonFor(invalid agentspec.Problems) string {
	for _, kind := range []struct{ prefix, reason string }{
		{"spec.prompt.configMapKeyRef", v1alpha1.ReasonPromptMissing},
		{"spec.prompt.digest", v1alpha1.ReasonDigestMismatch},
		{"spec.handoffs", v1alpha1.ReasonReference},
		{"spec.tools", v1alpha1.ReasonReference},
		{"spec.entry", v1alpha1.ReasonEntry},
		{"spec.pod", v1alpha1.ReasonPod},
	} {
		if strings.HasPrefix(invalid[0].Field, kind.prefix) {
			return kind.reason
		}
	}

	return v1alpha1.ReasonInvalid
}

// lines are problems without the place: who reads them looks at it.
func lines(problems agentspec.Problems) string {
	texts := make([]string, len(problems))
	for i, problem := range problems {
		problem.File, problem.Line = "", 0
		texts[i] = problem.String()
	}

	return cut(strings.Join(texts, "; "))
}

func cut(text string) string {
	if len(text) <= longestMessage {
		return text
	}

	return strings.ToValidUTF8(text[:longestMessage-3], "") + "..."
}
