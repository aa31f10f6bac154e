package llmsim

import (
	"strings"
	"testing"
)

// FuzzSteer checks that a steered setting is always one that can be used.
func FuzzSteer(f *testing.F) {
	f.Add("@sim fail=0.3 ttft=200ms tps=50 refuse=0.1 slow=0.5 slow_by=1s")
	f.Add("You are kind.\n@sim cut=0.1, malformed=0.1 ratelimit=0.2 retry_after=2s status=503 words=200")
	f.Add("@sim fail")
	f.Add("@sim =")
	f.Add("@sim fail=0x1p-2 words=9999999999999999999 ttft=-1s")

	f.Fuzz(func(t *testing.T, prompt string) {
		steered, err := settings{}.withDefaults().steer(prompt)
		if err != nil {
			if !strings.HasPrefix(err.Error(), mark) {
				t.Errorf("the error does not say where it comes from: %v", err)
			}

			return
		}

		if err := steered.validate(); err != nil {
			t.Errorf("%q: %v", prompt, err)
		}

		if steered.words > maxWords || steered.ttft > maxWait {
			t.Errorf("%q: %+v", prompt, steered)
		}
	})
}
