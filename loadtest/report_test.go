package loadtest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// exampleReport is a canary that failed some turns, made by hand.
func exampleReport() *Report {
	begun := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	record := newRecord(begun)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }

	for i := range 200 {
		of := name{"billing", revisionA}
		if i%10 == 9 {
			of.revision = revisionB
		}

		intended := at(50 * i)
		made := &turn{
			intended: intended, firstText: intended.Add(20 * time.Millisecond), ended: intended.Add(time.Duration(30+i) * time.Millisecond), state: completed,
			seen: sight{
				joins: []pinned{{of, intended}}, met: []name{of},
				segments: []segment{{name: of, began: intended, ended: intended.Add(25 * time.Millisecond)}},
			},
		}

		if i%50 == 49 {
			made.state, made.reason, made.seen.segments[0].failed = failed, ProviderError, ProviderError
			made.seen.violations = []Violation{{Kind: kindFailed, Conversation: "c<1>", Sequence: 7, Time: intended, Text: "PROVIDER_ERROR: no (the message was \"hello\")"}}
		}

		record.opened(intended, time.Millisecond)
		record.turn(made)
		record.closed(nil, finished)
	}

	record.mark(Mark{"abort", at(8000)})

	load := &Load{record: record}
	load.MeasureShare("billing", revisionB, 10, time.Time{}, time.Time{})
	load.MeasureAbort("billing", revisionB, at(9420), time.Time{}, 12*time.Millisecond)
	record.end(at(10_000))

	report := record.report(Config{Scenario: Steady(20, 10*time.Second).withDefaults()}, at(10_000))
	report.Judge(Bar{"flips", 0}, Bar{"failed", 1}, Bar{"abort-p99", 600}, Bar{"share", 0})

	return report
}

func TestText(t *testing.T) {
	text := &strings.Builder{}
	if err := exampleReport().WriteText(text); err != nil {
		t.Fatal(err)
	}

	golden(t, "testdata/report.txt", text.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()

	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestPage(t *testing.T) {
	text := &strings.Builder{}
	if err := exampleReport().WriteHTML(text); err != nil {
		t.Fatal(err)
	}

	page := text.String()
	for _, want := range []string{
		"<title>steady: 200 turns</title>", "New conversations of billing by revision", "c&lt;1&gt;", "missed", ">abort<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}

	for _, foreign := range []string{"<script", "src=", "href=", "@import", "NaN", "ZgotmplZ", "Inf"} {
		if strings.Contains(page, foreign) {
			t.Errorf("%q is in the page", foreign)
		}
	}

	plots := strings.Split(page, "<svg")[1:]
	if len(plots) < 5 {
		t.Errorf("%d plots", len(plots))
	}

	for _, plot := range plots {
		body, _, _ := strings.Cut("<svg"+plot, "</svg>")
		wellFormed(t, body+"</svg>")
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()

	decoder := xml.NewDecoder(strings.NewReader(text))

	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}

		if err != nil {
			t.Errorf("%v in %s", err, text)

			return
		}
	}
}

// The page of a load in which nothing happened is a page too.
func TestEmptyPage(t *testing.T) {
	record := newRecord(time.Unix(0, 0))
	text := &strings.Builder{}

	if err := record.report(Config{}, time.Unix(0, 0)).WriteHTML(text); err != nil || strings.Contains(text.String(), "NaN") {
		t.Error(err, text)
	}
}

func TestJSON(t *testing.T) {
	report := exampleReport()

	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}

	read := &Report{}
	if err := json.Unmarshal(data, read); err != nil {
		t.Fatal(err)
	}

	if read.Turns.Failed != 4 || read.Latency.Quantile(.5) != report.Latency.Quantile(.5) || len(read.Series.Points) != 41 ||
		read.Revision("billing", revisionB).Joined != 20 || len(read.Bars) != 4 || read.Shares[0] != report.Shares[0] {
		t.Errorf("%s", data)
	}
}

func TestRoundUp(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, -1: 1, .07: .08, 1: 1, 1.1: 2, 2.2: 2.5, 3: 4, 9: 10, 450: 500} {
		if got := roundUp(value); got < want*.999999 || got > want*1.000001 {
			t.Errorf("%v up is %v, want %v", value, got, want)
		}
	}
}
