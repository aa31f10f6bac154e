package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	text := &strings.Builder{}

	met, turns := r.Conversations, r.Turns
	fmt.Fprintf(text, "%s: %d conversations in %s, %d turns (%.1f/s)\n", r.Scenario.Name, met.Started,
		short(r.Took), turns.Sent, float64(turns.Sent)/max(r.Took.Seconds(), 1e-9))
	fmt.Fprintf(text, "turns       %d completed, %d failed%s, %d cancelled, %d abandoned, %d retries, %d approvals\n",
		turns.Completed, turns.Failed, reasons(turns.FailedBy), turns.Cancelled, turns.Abandoned, turns.Retries, turns.Approvals)
	fmt.Fprintf(text, "checks      %d flips, %d lost, %d doubled events; %d pins moved by a withdrawal, %d segments restarted, %d conversations refused\n",
		r.Flips, r.Lost, r.Doubled, r.Changes, r.Restarts, met.Refused)
	fmt.Fprintf(text, "latency     %s\n", r.Latency)
	fmt.Fprintf(text, "first text  %s\n", r.FirstText)

	if late := r.Lateness.Quantile(.99); late > 20*time.Millisecond {
		fmt.Fprintf(text, "late        this machine was too busy: conversations began up to %s late (p99 %s)\n", short(r.Lateness.Max()), short(late))
	}

	r.writeRevisions(text)

	for _, share := range r.Shares {
		fmt.Fprintf(text, "%s  share of %s\n", verdict(share.Inside), share)
	}

	for _, abort := range r.Aborts {
		fmt.Fprintf(text, "abort of %s\n", abort)
	}

	if len(r.Aborts) > 1 {
		fmt.Fprintf(text, "aborts      last new turn after the command: %s\n", r.AbortLatency())
	}

	r.writeViolations(text)

	for _, bar := range r.Bars {
		fmt.Fprintf(text, "%s  %s\n", verdict(bar.Met), bar)
	}

	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}

	return nil
}

func verdict(good bool) string {
	if good {
		return "ok    "
	}

	return "MISSED"
}

// reasons are counts by reason in parentheses; nothing if there are none.
func reasons(counts map[string]int) string {
	if len(counts) == 0 {
		return ""
	}

	parts := []string{}
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, counts[reason]))
	}

	return " (" + strings.Join(parts, ", ") + ")"
}

func (r *Report) writeRevisions(w io.Writer) {
	if len(r.Revisions) == 0 {
		return
	}

	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		_, _ = fmt.Fprintln(table, fmt.Sprintf(strings.Repeat("%v\t", len(cells)), cells...))
	} // a builder takes everything

	_, _ = fmt.Fprintln(w)

	row("AGENT", "REVISION", "CONVERSATIONS", "JOINED", "MOVED", "SEGMENTS", "FAILED", "LOST", "P50", "P95", "P99", "TURN P99")

	for _, revision := range r.Revisions {
		took := revision.Latency
		row(revision.Agent, revision.Revision, revision.Conversations, revision.Joined, revision.Moved, revision.Segments,
			revision.Failed, revision.Lost, short(took.Quantile(.5)), short(took.Quantile(.95)), short(took.Quantile(.99)),
			short(revision.TurnLatency.Quantile(.99)))
	}

	_ = table.Flush() // a builder takes everything
	_, _ = fmt.Fprintln(w)
}

const shownViolations = 10

func (r *Report) writeViolations(w io.Writer) {
	for i, violation := range r.Violations {
		if i == shownViolations {
			_, _ = fmt.Fprintf(w, "... and more\n")

			return
		}

		_, _ = fmt.Fprintf(w, "%-8sat %s %s event %d: %s\n", violation.Kind, short(violation.Time.Sub(r.Started)),
			violation.Conversation, violation.Sequence, violation.Text)
	}
}
