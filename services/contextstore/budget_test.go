package contextstore

import (
	"testing"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func TestNarrow(t *testing.T) {
	for _, test := range []struct {
		name                       string
		budget, spent, remain, get *eventv1.Budget
	}{
		{"no limits", &eventv1.Budget{}, &eventv1.Budget{Steps: 3}, nil, &eventv1.Budget{}},
		{
			"the agent's is smaller", &eventv1.Budget{Steps: 10},
			&eventv1.Budget{Steps: 3}, &eventv1.Budget{Steps: 2}, &eventv1.Budget{Steps: 5},
		},
		{
			"the turn's is smaller", &eventv1.Budget{Tokens: 100},
			&eventv1.Budget{Tokens: 60}, &eventv1.Budget{Tokens: 70}, &eventv1.Budget{Tokens: 100},
		},
		{
			"a limit where there was none", &eventv1.Budget{},
			&eventv1.Budget{CostMicros: 5}, &eventv1.Budget{CostMicros: 7}, &eventv1.Budget{CostMicros: 12},
		},
		{
			"no limit of the agent's", &eventv1.Budget{Hops: 8},
			&eventv1.Budget{Hops: 2}, &eventv1.Budget{}, &eventv1.Budget{Hops: 8},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := narrow(test.budget, test.spent, test.remain); !proto.Equal(got, test.get) {
				t.Errorf("got %v, want %v", got, test.get)
			}
		})
	}
}
