package llmsim

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mark begins a line of the system prompt that steers the simulation.
const mark = "@sim"

const (
	maxWait  = time.Hour
	maxWords = 20_000
)

// steer applies the @sim lines of a system prompt. What it does not know is an error that names what is allowed.
func (s settings) steer(prompt string) (settings, error) {
	if !strings.Contains(prompt, mark) {
		return s, nil
	}

	given := map[string]bool{}

	for line := range strings.Lines(prompt) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), mark)
		if !found || rest != "" && !strings.ContainsAny(rest[:1], " \t") {
			continue
		}

		for pair := range strings.FieldsSeq(rest) {
			key, value, _ := strings.Cut(strings.TrimSuffix(pair, ","), "=")
			if given[key] {
				return s, fmt.Errorf("%s: %s is given twice", mark, key)
			}

			given[key] = true

			if err := s.set(key, value); err != nil {
				return s, err
			}
		}
	}

	return s, nil
}

// set applies one key=value.
func (s *settings) set(key, value string) error {
	knobs := s.knobs()

	knob, known := knobs[key]
	if !known {
		return fmt.Errorf("%s: there is no %q; allowed are %s", mark, key,
			strings.Join(slices.Sorted(maps.Keys(knobs)), ", "))
	}

	if want := knob(value); want != "" {
		return fmt.Errorf("%s: %s=%s is not %s", mark, key, value, want)
	}

	return nil
}

// knobs are the keys. Each sets its value, or returns what it should have been.
func (s *settings) knobs() map[string]func(string) string {
	return map[string]func(string) string{
		"fail":        share(&s.faults.Fail),
		"refuse":      share(&s.faults.Refuse),
		"slow":        share(&s.faults.Slow),
		"cut":         share(&s.faults.Cut),
		"malformed":   share(&s.faults.Malformed),
		"ratelimit":   share(&s.faults.RateLimit),
		"status":      whole(&s.faults.Status, 400, 599),
		"words":       whole(&s.words, 1, maxWords),
		"tps":         rate(&s.tps),
		"ttft":        wait(&s.ttft),
		"slow_by":     wait(&s.faults.SlowBy),
		"retry_after": wait(&s.faults.RetryAfter),
	}
}

func share(target *float64) func(string) string {
	return func(text string) string {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || !(value >= 0 && value <= 1) {
			return "a share from 0 to 1, such as 0.3"
		}

		*target = value

		return ""
	}
}

func rate(target *float64) func(string) string {
	return func(text string) string {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || !(value > 0) || math.IsInf(value, 0) {
			return "a number of tokens per second above 0, such as 50"
		}

		*target = value

		return ""
	}
}

func whole(target *int, least, most int) func(string) string {
	return func(text string) string {
		value, err := strconv.Atoi(text)
		if err != nil || value < least || value > most {
			return fmt.Sprintf("a whole number from %d to %d", least, most)
		}

		*target = value

		return ""
	}
}

func wait(target *time.Duration) func(string) string {
	return func(text string) string {
		value, err := time.ParseDuration(text)
		if err != nil || value < 0 || value > maxWait {
			return "a duration up to 1h, such as 200ms"
		}

		*target = value

		return ""
	}
}
