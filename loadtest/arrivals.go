package loadtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// schedule makes the offsets at which conversations begin: the points where the integral of the rate reaches 0, 1, 2
// and so on (uniform), or sums of exponential draws (Poisson).
type schedule struct {
	stages []Stage
	draw   func() float64

	// begun is the offset of the first stage, passed the integral up to there, target the integral at the next arrival.
	begun, passed, target float64
	left                  int
}

// newSchedule makes a schedule of at most so many arrivals, where 0 means no limit.
func newSchedule(scenario Scenario, random *rand.Rand) *schedule {
	made := &schedule{stages: scenario.Stages, draw: random.ExpFloat64, left: -1}
	if scenario.Conversations > 0 {
		made.left = scenario.Conversations
	}

	if scenario.Arrivals == Uniform {
		made.draw = func() float64 { return 1 }
	} else {
		made.target = random.ExpFloat64()
	}

	return made
}

// next returns the offset of the next arrival; false when there are no more.
func (s *schedule) next() (time.Duration, bool) {
	for s.left != 0 && len(s.stages) > 0 {
		stage := s.stages[0]
		lasts := stage.Duration.Seconds()
		area := lasts * (stage.From + stage.To) / 2
		missing := s.target - s.passed

		if endless := stage.Duration == 0; endless && stage.From == 0 {
			return 0, false
		} else if endless || missing < area {
			s.left--
			s.target += s.draw()

			return time.Duration((s.begun + stage.after(missing)) * float64(time.Second)), true
		}

		s.begun, s.passed, s.stages = s.begun+lasts, s.passed+area, s.stages[1:]
	}

	return 0, false
}

// after returns the seconds from the stage's begin until the integral of its rate reaches an area.
func (s Stage) after(area float64) float64 {
	if area <= 0 {
		return 0
	}

	slope := 0.0
	if s.Duration > 0 {
		slope = (s.To - s.From) / s.Duration.Seconds()
	}

	// The solution of from*t + slope/2*t*t = area that is exact for a slope of 0 too.
	return 2 * area / (s.From + math.Sqrt(max(s.From*s.From+2*slope*area, 0)))
}
