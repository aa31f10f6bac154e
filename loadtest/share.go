package loadtest

import (
	"fmt"
	"math"
	"time"
)

// Confidence is that of the interval that a share must lie in.
const Confidence = 0.99999

// Share is the part of an agent's new conversations that one revision got, beside what chance allows.
type Share struct {
	Agent    string `json:"agent"`
	Revision string `json:"revision"`
	// Weight is the percentage that it should get.
	Weight float64 `json:"weight"`
	// Got of Conversations got it. Low and High bound what a fair draw gives, with probability Confidence.
	Conversations int `json:"conversations"`
	Got           int `json:"got"`
	Low           int `json:"low"`
	High          int `json:"high"`
	// Inside says that it did.
	Inside bool `json:"inside"`
}

// Share measures the share of conversations that joined from a time on and before another; zero times mean no limit. The
// weight is a percentage.
func (r *Report) Share(agent, revision string, weight float64, from, to time.Time) Share {
	share := Share{
		Agent: agent, Revision: revision, Weight: weight,
		Conversations: r.Joins(agent, "", from, to), Got: r.Joins(agent, revision, from, to),
	}
	share.Low, share.High = BinomialInterval(share.Conversations, weight/100, Confidence)
	share.Inside = share.Low <= share.Got && share.Got <= share.High

	return share
}

func (s Share) String() string {
	return fmt.Sprintf("%s %s: %d of %d new conversations (%.2f%%) at weight %v%%; chance allows %d to %d",
		s.Agent, s.Revision, s.Got, s.Conversations, 100*float64(s.Got)/float64(max(s.Conversations, 1)), s.Weight, s.Low, s.High)
}

// BinomialInterval returns the numbers of successes, both included, beyond which n draws with probability p fall with a
// probability of at most (1-confidence)/2 on either side.
func BinomialInterval(n int, p, confidence float64) (low, high int) {
	switch {
	case n <= 0 || p <= 0:
		return 0, 0
	case p >= 1:
		return n, n
	}

	tail := (1 - confidence) / 2

	for sum := 0.0; low < n; low++ {
		if sum += binomial(n, low, p); sum > tail {
			break
		}
	}

	high = n

	for sum := 0.0; high > low; high-- {
		if sum += binomial(n, high, p); sum > tail {
			break
		}
	}

	return low, high
}

// binomial is the probability of exactly k successes.
func binomial(n, k int, p float64) float64 {
	return math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func logFactorial(n int) float64 {
	value, _ := math.Lgamma(float64(n) + 1)

	return value
}
