package loadtest

import (
	"strings"
	"testing"
)

func TestParseBar(t *testing.T) {
	for text, want := range map[string]Bar{
		"failed=0": {"failed", 0}, "p99=1.5s": {"p99", 1500}, "failed.TIMEOUT=3": {"failed.TIMEOUT", 3}, "abort-p99=150ms": {"abort-p99", 150},
	} {
		if got, err := ParseBar(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}

	for text, want := range map[string]string{
		"": "measures nothing known", "failed": "want a count, such as failed=0", "failed=-1": "want a count", "p99=5": "want a time, such as p99=500ms",
		"p99=-1s": "want a time", "failed.=1": "measures nothing known", "flips=1.5": "want a count",
	} {
		if _, err := ParseBar(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBarsOfTheSameNameReplaceEachOther(t *testing.T) {
	bars := WithBars(DefaultBars(), Bar{"flips", 7}, Bar{"p50", 1}, Bar{"p50", 2})
	if len(bars) != len(DefaultBars())+1 || bars[2] != (Bar{"flips", 7}) || bars[len(bars)-1] != (Bar{"p50", 2}) {
		t.Error(bars)
	}
}

// What was not measured is not good.
func TestNothingIsNotEnough(t *testing.T) {
	report := &Report{}

	for _, name := range BarNames() {
		if report.Judge(Bar{name[0], 1e9}) {
			t.Errorf("%s: %v", name[0], report.Bars)
		}
	}

	if report.Judge(Bar{"unknown", 1}) {
		t.Error(report.Bars)
	}
}

func FuzzParseBar(f *testing.F) {
	f.Add("p99=500ms")
	f.Add("failed.X=1")
	f.Fuzz(func(t *testing.T, text string) {
		bar, err := ParseBar(text)
		if _, known := findMeasure(bar.Name); err == nil && (!known || !(bar.Most >= 0)) {
			t.Errorf("%q is %v", text, bar)
		}
	})
}
