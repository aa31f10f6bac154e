package agent

import (
	"fmt"
	"testing"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// TestResumeAtEveryAppend kills the agent that appends for the n-th time, before and after the store took the append,
// for every n; a new process goes on. However often: one result per call, one effect per call, one end.
func TestResumeAtEveryAppend(t *testing.T) {
	for _, before := range []bool{true, false} {
		for n := 1; ; n++ {
			died := false

			t.Run(fmt.Sprintf("append=%d,before=%v", n, before), func(t *testing.T) { died = resumeAt(t, n, before) })

			if !died {
				if n < 6 {
					t.Errorf("the turn took only %d appends", n-1)
				}

				break
			}
		}
	}
}

func resumeAt(t *testing.T, n int, before bool) bool {
	t.Helper()

	w := newWorld(t, func(asked modelAsked) modelReply {
		switch {
		case asked.Agent == "triage":
			return modelReply{calls: []modelCall{{"handoff_to_billing", `{"reason":"an invoice","summary":"twice"}`}}}
		case len(asked.Messages) <= 4:
			return modelReply{text: []string{"One moment."}, calls: []modelCall{
				{"lookup", `{"id":1}`}, {"nosuch", `{}`}, {"refund", `{"id":1}`}, {"clock", `{}`},
			}}
		default:
			return modelReply{text: []string{"All ", "done."}}
		}
	})
	w.killAfter, w.killBefore = n, before
	w.specs["triage"], w.specs["billing"] = to(spec("triage"), "billing"), with(spec("billing"), "lookup", "refund", "clock")
	w.start(w.specs["triage"])
	w.start(w.specs["billing"])
	w.begin("triage", "Charged twice")

	if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED {
		t.Errorf("turn %v\n%v", turn, w.log())
	}

	w.verify()

	return w.appends.Load() >= int64(n)
}
