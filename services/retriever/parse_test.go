package retriever

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown is a passage as a test writes it: headings, a bar, and the text.
func shown(kind format, source string, most int) (string, []string) {
	doc := parse(kind, []byte(source), most)

	var lines []string
	for _, one := range pack(doc, []byte(source), most) {
		lines = append(lines, strings.Join(one.headings, " > ")+" | "+one.text)
	}

	return doc.title, lines
}

func TestPassages(t *testing.T) {
	for name, test := range map[string]struct {
		kind   format
		source string
		title  string
		want   []string
	}{
		"markdown": {
			formatMarkdown, "---\ntitle: \"The title\"\n---\n# A `b` *c*\n\n## D\n\none\n\ntwo\n\n```\n# no heading\n```\n\n" +
				"## E\n\n- x\n- y\n\n# F\n",
			"The title",
			[]string{"A b c > D | ## D\n\none\n\ntwo\n\n```\n# no heading\n```", "A b c > E | ## E\n\n- x\n- y", "F | # F"},
		},
		"underlined headings": {
			formatMarkdown, "Top\n===\n\nintro\n\nLow\n---\n\ntext\n", "Top",
			[]string{"Top | Top\n===\n\nintro", "Top > Low | Low\n---\n\ntext"},
		},
		"html": {
			formatHTML, "<title>T &amp; U</title><nav>menu</nav><h1>A</h1>x<b>y</b> &lt;z&gt;<script>no()</script><h2> B\n b </h2><p>one<p>two" +
				"<pre>a\n  b</pre><table><tr><td>c</td><td>d</td></tr></table>",
			"T & U",
			[]string{"A | A\nxy <z>", "A > B b | B b\none\ntwo\na\n  b\nc d"},
		},
		"text":       {formatText, "one\n\n\ntwo\n", "", []string{" | one\n\n\ntwo"}},
		"long lines": {formatText, strings.Repeat("a sentence. ", 30), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			title, got := shown(test.kind, test.source, 200)

			if test.want == nil {
				whole := strings.Join(got, " ")
				if len(got) < 2 || strings.Count(whole, "a sentence.") != 30 || slices.ContainsFunc(got, func(s string) bool { return len(s) > 203 }) {
					t.Errorf("passages %q", got)
				}

				return
			}

			if diff := cmp.Diff(test.want, got); diff != "" || title != test.title {
				t.Errorf("title %q, passages (-want +got):\n%s", title, diff)
			}
		})
	}
}

func TestFusion(t *testing.T) {
	fused := fuse([]hit{{1, 9}, {2, 8}, {3, 7}}, []hit{{3, 0.9}, {4, 0.8}})

	var order []int64
	for _, one := range fused {
		order = append(order, one.id)
	}

	if !slices.Equal(order, []int64{3, 1, 2, 4}) || *fused[0].words != 7 || *fused[0].vector != 0.9 || fused[1].vector != nil {
		t.Errorf("fused %v: %+v", order, fused)
	}
}

func TestVectorsFindTheNearest(t *testing.T) {
	store := newVectors()

	for id := range int64(100) {
		vector, err := unit([]float64{float64(id), 100 - float64(id), 1, 0, 0})
		if err != nil {
			t.Fatal(err)
		}

		if err := store.put(id, vector); err != nil {
			t.Fatal(err)
		}
	}

	store.drop([]int64{99, 0, 98, 50, 7})

	query, _ := unit([]float64{1, 0, 0, 0, 0})

	found, err := store.nearest(query, 3)
	if err != nil || len(found) != 3 || found[0].id != 97 || found[1].id != 96 || found[2].id != 95 || store.len() != 95 {
		t.Errorf("found %v of %d, %v", found, store.len(), err)
	}

	if _, err := store.nearest(query[:4], 3); err == nil || !strings.Contains(err.Error(), "4 dimensions") {
		t.Errorf("another dimension: %v", err)
	}

	for _, bad := range [][]float64{{}, {0, 0}, make([]float64, maxDimensions+1)} {
		if _, err := unit(bad); err == nil {
			t.Errorf("%d zeros are a vector", len(bad))
		}
	}
}
