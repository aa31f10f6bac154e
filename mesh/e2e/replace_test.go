package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// TestPodsAreReplaced deletes one pod after the other, as the draining of a node or a new image does, while users talk: each
// finishes what it is at or passes it on, within its grace period, and no turn fails.
func TestPodsAreReplaced(t *testing.T) {
	p := serin(t)

	report := p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		for _, app := range []string{"billing", "triage", "scheduling", rpc.Tools, rpc.Context} {
			list := p.podsOfApp(app)

			for i := range list {
				load.Mark("replacement of " + list[i].Name)
				figures.add("pod replaced", app, "gone after "+p.replacePod(app, &list[i], len(list)).Round(10*time.Millisecond).String())
				more(ctx, t, load, 4)
			}
		}
	})

	if failed := report.Turns.FailedBy[loadtest.ProviderError]; failed > 0 {
		t.Errorf("%d turns failed because the ambassador was away", failed)
	}
}

func (p *platform) podsOfApp(app string) []corev1.Pod {
	p.Helper()

	list := &corev1.PodList{}
	p.must(shared.Client.List(p.Context(), list, client.InNamespace(install.Namespace), client.MatchingLabels{"app": app}))

	if len(list.Items) == 0 {
		p.Fatalf("there is no pod of %s", app)
	}

	return list.Items
}

// replacePod deletes a pod and waits until others, as many as there were, are ready. It returns how long the pod took to go,
// which must be less than what its grace period allows.
func (p *platform) replacePod(app string, pod *corev1.Pod, want int) time.Duration {
	p.Helper()

	began := time.Now()
	p.must(shared.Client.Delete(p.Context(), pod))

	var took time.Duration

	p.eventually(pod.Name+" is replaced", func(context.Context) error {
		ready, there := 0, map[types.UID]bool{}

		list := p.podsOfApp(app)
		for i := range list {
			there[list[i].UID] = true

			if isReady(&list[i]) && list[i].DeletionTimestamp == nil {
				ready++
			}
		}

		if took == 0 && !there[pod.UID] {
			took = time.Since(began)
		}

		if took == 0 || ready != want {
			return fmt.Errorf("it is there: %v; %d other pods of %s are ready, want %d", took == 0, ready, app, want)
		}

		return nil
	})

	if grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; took >= grace {
		p.Errorf("%s took %s, and was killed: its grace period is %s", pod.Name, took, grace)
	}

	return took
}
