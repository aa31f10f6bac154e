package app_test

import "testing"

// BenchmarkShare has 1,000 conversations of five turns meet two canaries of 10%: it fails if a share is not within what
// a fair draw makes of it with 99.999%, or if a conversation saw two revisions of an agent.
func BenchmarkShare(b *testing.B) {
	for b.Loop() {
		report := testShare(b, 1000)
		b.ReportMetric(float64(report.Turns.Sent)/report.Took.Seconds(), "turns/s")
		b.ReportMetric(float64(report.Flips), "flips")
	}

	b.ReportMetric(0, "ns/op")
}
