package canary_test

import (
	"errors"
	"testing"
	"time"

	"github.com/serinhq/serin/mesh/canary"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*canary.Plan)
	}{
		{"the default", "", func(*canary.Plan) {}},
		{"it need not end with 100", "", func(p *canary.Plan) { p.Steps = []int{1, 99} }},
		{"no times at all", "", func(p *canary.Plan) { *p = canary.Plan{Steps: []int{100}} }},
		{"no steps", "steps: none; want percentages that rise, such as 5,25,50,100", func(p *canary.Plan) { p.Steps = nil }},
		{"0", "steps: 0 is out of range, 1 to 100 percent", func(p *canary.Plan) { p.Steps = []int{0} }},
		{"101", "steps: 101 is out of range, 1 to 100 percent", func(p *canary.Plan) { p.Steps = []int{5, 101} }},
		{"no rise", "steps: 5 is not more than the step before, 5", func(p *canary.Plan) { p.Steps = []int{5, 5} }},
		{
			"a negative time", "undoWindow: -1s is negative; want a duration such as 10m",
			func(p *canary.Plan) { p.UndoWindow = -time.Second },
		},
		{
			"idle beyond the end", "retireIdle: 200h0m0s is more than retireAfter, 168h0m0s",
			func(p *canary.Plan) { p.RetireIdle = 200 * time.Hour },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := usual()
			test.change(&plan)

			err := plan.Validate()
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}

				return
			}

			var refusal *canary.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != "INVALID_PLAN" || refusal.Message != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
