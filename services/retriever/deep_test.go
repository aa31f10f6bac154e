package retriever

import (
	"strings"
	"testing"
)

// TestDeepMarkdownIsText, so that nobody's time is lost on it; what people write is not deep.
func TestDeepMarkdownIsText(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat(">", 100_000):                         true,
		"# A\n\n" + strings.Repeat("> ", 33) + "b":           true,
		strings.Repeat(" ", 200) + "- a":                     true,
		strings.Repeat("1. ", 100) + "a":                     true,
		strings.Repeat("-", 300):                             false,
		strings.Repeat("> a\n", 500):                         false,
		strings.Repeat(" ", 300) + "\n# A\n\n  - b\n    - c": false,
		strings.Repeat("0.25 ", 100):                         false,
	} {
		if got := tooDeep([]byte(text)); got != want {
			t.Errorf("%.20q and %d more: %v", text, len(text), got)
		}
	}

	doc, passages, err := dissect(formatMarkdown, []byte(strings.Repeat("> ", 40)+"apples"), 240)
	if err != nil || len(doc.blocks) != 1 || len(passages) != 1 || !strings.HasSuffix(passages[0].text, "apples") {
		t.Errorf("%v, %v, %v", doc, passages, err)
	}
}
