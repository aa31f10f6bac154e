package app

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// What a command does and says does not depend on who steers the rollouts: a gateway, or a cluster's controller.
func TestCanaryIsTheSameInACluster(t *testing.T) {
	both := func(t *testing.T) (*fakeRollouts, *fakeRollouts, []string, []string) {
		t.Helper()

		local := withRevisions(newFakeRollouts(t, aRollout(), anIdleRollout()))
		remote := withRevisions(newFakeRollouts(t, aRollout(), anIdleRollout()))
		_, flags := inCluster(t, remote)

		return local, remote, []string{"--url", local.URL}, flags
	}

	for _, line := range []string{
		"status", "status billing", "status billing -o json", "status nobody", "history billing", "history billing --limit 1 -o yaml",
		"diff billing", "diff billing aaaaaaaaaaaa bbbbbbbbbbbb", "diff triage", "diff billing nope", "set billing 30", "set billing 0",
		"pause billing", "resume billing", "promote billing --full", "abort billing --fence --reason slow", "undo billing", "retry billing",
		"start billing --revision bbbbbbbbbbbb --steps 10,100 --auto", "start billing --revision nope",
	} {
		t.Run(line, func(t *testing.T) {
			local, remote, gateway, cluster := both(t)

			for _, refuse := range []string{"", "NOTHING_TO_DO"} {
				local.refuse, remote.refuse = refuse, refuse
				args := append([]string{"canary"}, strings.Fields(line)...)

				wantCode, want, wantErr := runRemotely(t, append(args, gateway...)...)
				code, stdout, stderr := runRemotely(t, append(args, cluster...)...)

				if diff := cmp.Diff(want+wantErr, stdout+stderr); diff != "" || code != wantCode {
					t.Errorf("exit %d, want %d (-gateway +cluster)\n%s", code, wantCode, diff)
				}
			}

			if diff := cmp.Diff(local.seen(), remote.seen()); diff != "" {
				t.Errorf("asked (-gateway +cluster)\n%s", diff)
			}
		})
	}
}

// A watch goes on over the end of a stream, and tells nothing twice.
func TestCanaryWatchInACluster(t *testing.T) {
	promoted := aRollout()
	promoted.Weight, promoted.Reason = 100, "promoted by hand"

	rollouts := newFakeRollouts(t)
	rollouts.streams = [][]*rolloutv1.WatchRolloutsResponse{{changeTo(aRollout())}, {changeTo(aRollout()), changeTo(promoted)}}

	_, flags := inCluster(t, rollouts)
	term := remoteTerminal(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)

	go func() { ended <- Execute(ctx, term.env, append([]string{"canary", "status", "-w"}, flags...)) }()

	term.out.wait(t, "promoted by hand")
	cancel()

	if code := <-ended; code != 0 || strings.Count(term.out.String(), "billing") != 2 {
		t.Errorf("exit %d, %s\n%s", code, term.err, term.out)
	}
}
