package retriever

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse takes any bytes apart, in any format: places are within the document and in order, sizes within their limit, and
// what stands at a passage's place is its text, or has its words.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "\n", "# A\n\nb", "---\ntitle: x\n---\n# A\n## B\ntext\n\n```go\nx\n```\n", "---\nno end",
		"A\n===\n\nb\n---\n\n> q\n\n- a\n- b\n\n1. c\n",
		"<p>a<b>b</b> &amp; c", "<h1>A</h1><h3>B</h3><p>c", "<nav><p>x", "<pre>a\n b</pre><br/>c",
		"<title>T</title><script>x</script>y", "<a href",
		"&#0;&#x110000;&nbsp;x", "<table><tr><td>a<td>b</table>", strings.Repeat("word ", 200),
		strings.Repeat("ä", 500), "a\x00b\xff\xfe",
		"[a]: http://x\n\n[b]: y\ntext\n", "\t\tcode\n\n\x0b\x0c", "<![CDATA[x]]><!-- c --><?x?>y", "\r\n\r\na\r\n\r\nb",
	} {
		f.Add([]byte(text))
	}

	seeds, _ := filepath.Glob("testdata/handbook/*/*")
	for _, seed := range seeds {
		data, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}

		f.Add(data)
	}

	f.Fuzz(func(t *testing.T, source []byte) {
		const most = 240

		for _, kind := range []format{formatText, formatMarkdown, formatHTML} {
			doc := parse(kind, source, most)
			checkBlocks(t, kind, source, doc)

			last := 0

			for _, one := range pack(doc, source, most) {
				if one.start < last || one.end < one.start || one.end > len(source) {
					t.Fatalf("%d: a passage from %d to %d after %d of %d", kind, one.start, one.end, last, len(source))
				}

				last = one.end

				if !utf8.ValidString(one.text) || len(one.headings) > maxDepth || len(one.text) > 3*most {
					t.Fatalf("%d: a passage has %d bytes and headings %q: %q", kind, len(one.text), one.headings, one.text)
				}

				if kind != formatHTML && utf8.Valid(source) && one.text != string(source[one.start:one.end]) {
					t.Fatalf("%d: at %d to %d stands %q, and the text is %q",
						kind, one.start, one.end, source[one.start:one.end], one.text)
				}
			}
		}
	})
}

func checkBlocks(t *testing.T, kind format, source []byte, doc parsed) {
	t.Helper()

	last := 0

	for _, one := range doc.blocks {
		if one.start < last || one.end < one.start || one.end > len(source) {
			t.Fatalf("%d: a block from %d to %d after %d of %d", kind, one.start, one.end, last, len(source))
		}

		last = one.end

		for _, heading := range one.headings {
			if len(heading) > maxHeading || strings.ContainsAny(heading, "\n\r") {
				t.Fatalf("%d: heading %q", kind, heading)
			}
		}
	}
}

// FuzzTerms has any query be one that FTS5 takes.
func FuzzTerms(f *testing.F) {
	for _, query := range []string{
		"", `"`, "a OR b", "NEAR(a b)", "über ﬁne", "a\x00b", "the and", "*", "col:x", "-x ^y {z}",
		"日本語 text",
	} {
		f.Add(query)
	}

	index, err := tryIndex(f.Context(), filepath.Join(f.TempDir(), "index.db"))
	if err != nil {
		f.Fatal(err)
	}

	f.Cleanup(func() { _ = index.close() })

	f.Fuzz(func(t *testing.T, query string) {
		if _, err := index.byWords(t.Context(), query, 5); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	})
}
