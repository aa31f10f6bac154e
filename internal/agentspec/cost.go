package agentspec

import (
	"fmt"
	"math"
	"strconv"
)

// CostMicros is the cost budget in millionths of a US dollar; 0 if there is none. Errors name what is not an amount.
func (b *Budgets) CostMicros() (int64, error) {
	if b.CostUSD == "" {
		return 0, nil
	}

	dollars, err := strconv.ParseFloat(b.CostUSD, 64)
	if err != nil || !(dollars >= 0 && dollars < 1e12) {
		return 0, fmt.Errorf("%q is not an amount such as 0.25", b.CostUSD)
	}

	return int64(math.Round(dollars * 1e6)), nil
}
