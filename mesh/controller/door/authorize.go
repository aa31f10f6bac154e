package door

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// What rights are about.
const (
	group    = "serin.dev"
	resource = "agents"
)

// Verbs are the verbs on agents.serin.dev that the methods of RolloutService need. What is not here is denied.
func Verbs() map[string]string {
	return map[string]string{
		rolloutv1.RolloutService_ListRollouts_FullMethodName:   "list",
		rolloutv1.RolloutService_GetRollout_FullMethodName:     "get",
		rolloutv1.RolloutService_WatchRollouts_FullMethodName:  "watch",
		rolloutv1.RolloutService_ListHistory_FullMethodName:    "get",
		rolloutv1.RolloutService_GetRevision_FullMethodName:    "get",
		rolloutv1.RolloutService_StartRollout_FullMethodName:   "start",
		rolloutv1.RolloutService_SetWeight_FullMethodName:      "setweight",
		rolloutv1.RolloutService_PauseRollout_FullMethodName:   "pause",
		rolloutv1.RolloutService_ResumeRollout_FullMethodName:  "resume",
		rolloutv1.RolloutService_PromoteRollout_FullMethodName: "promote",
		rolloutv1.RolloutService_AbortRollout_FullMethodName:   "abort",
		rolloutv1.RolloutService_UndoRollout_FullMethodName:    "undo",
		rolloutv1.RolloutService_RetryRollout_FullMethodName:   "retry",
	}
}

// authorizer knows who may what.
type authorizer struct {
	kubernetes kubernetes.Interface
	namespace  string
}

// check asks the cluster. The agent is empty for all.
func (a authorizer) check(ctx context.Context, user authenticationv1.UserInfo, method, agent string) error {
	verb, known := Verbs()[method]
	if !known {
		return fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "%s is not for users", method)
	}

	answer, err := a.kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra(user),
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: group, Resource: resource, Namespace: a.namespace, Name: agent, Verb: verb,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return unanswered(err)
	}

	if answer.Status.Allowed && !answer.Status.Denied {
		return nil
	}

	return a.refusal(user.Username, verb, agent)
}

// refusal says how to check and whom to ask.
func (a authorizer) refusal(user, verb, agent string) error {
	what, about := resource+"."+group, "agents"
	if agent != "" {
		what, about = what+"/"+agent, fmt.Sprintf("agent %q", agent)
	}

	refused := fault.New(codes.PermissionDenied, "NOT_ALLOWED",
		"user %q may not %s %s in namespace %q; check with: kubectl auth can-i %s %s -n %s", user, verb, about, a.namespace, verb, what, a.namespace)

	return refused.With("user", user).With("verb", verb).With("agent", agent).With("namespace", a.namespace)
}

// extra is what else is known of a user, in the words of the other API.
func extra(user authenticationv1.UserInfo) map[string]authorizationv1.ExtraValue {
	if len(user.Extra) == 0 {
		return nil
	}

	all := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		all[key] = authorizationv1.ExtraValue(values)
	}

	return all
}
