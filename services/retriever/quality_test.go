package retriever_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
)

// question is one of testdata/questions.txt.
type question struct{ text, document, section string }

func questions(t *testing.T) []question {
	t.Helper()

	data, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}

	var all []question

	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			t.Fatalf("questions.txt: %q", line)
		}

		all = append(all, question{fields[0], fields[1], fields[2]})
	}

	return all
}

// answers reports whether a passage is of the section that a question is about.
func (q question) answers(source *retrieverv1.Source) bool {
	headings := source.GetHeadings()
	last := ""

	if len(headings) > 0 {
		last = headings[len(headings)-1]
	}

	return source.GetDocument() == q.document && last == q.section
}

// TestQuality measures recall@5, the share of questions whose section is among the first five passages, for each ranking.
// The floors are what was measured when this was written (text 0.933, vector 0.917, hybrid 0.917), less two questions. That the
// hybrid is no better is what the stand-in for a model lets expect: both rankings know spellings alone and err together.
func TestQuality(t *testing.T) {
	folder, err := filepath.Abs("testdata/handbook")
	if err != nil {
		t.Fatal(err)
	}

	config := base(t, folder)
	config.Folders[0].Name = "handbook"
	config.Embeddings = embeddings(newNgramServer(t))
	config.Embeddings.Cooldown = 0

	r := start(t, config)
	r.ready()

	all := questions(t)

	for _, measured := range []struct {
		mode  retrieverv1.Mode
		floor float64
	}{
		{retrieverv1.Mode_MODE_TEXT, 0.9}, {retrieverv1.Mode_MODE_VECTOR, 0.88}, {retrieverv1.Mode_MODE_HYBRID, 0.88},
	} {
		recalled, first := 0, 0

		var missed []string

		for _, asked := range all {
			found := r.ask(&retrieverv1.RetrieveRequest{Query: asked.text, Limit: 5, Mode: measured.mode})
			if found.GetMode() != measured.mode || found.GetDegraded() != "" {
				t.Fatalf("%s: ranked by %v, %s", asked.text, found.GetMode(), found.GetDegraded())
			}

			place := -1

			for i, one := range found.GetPassages() {
				if place < 0 && asked.answers(one.GetSource()) {
					place = i
				}
			}

			switch {
			case place < 0:
				missed = append(missed, asked.text)
			case place == 0:
				first++

				fallthrough
			default:
				recalled++
			}
		}

		share := float64(recalled) / float64(len(all))
		t.Logf("%-12s recall@5 %.3f, first %.3f of %d questions; missed: %q", measured.mode, share, float64(first)/float64(len(all)),
			len(all), missed)

		if share < measured.floor {
			t.Errorf("%v: recall@5 is %.3f, want %.3f", measured.mode, share, measured.floor)
		}
	}
}
