package retriever

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"
)

// format is how a document is written.
type format int

const (
	formatNone format = iota
	formatText
	formatMarkdown
	formatHTML
)

// formatOfName tells a file's format by how its name ends; a name without an ending, such as a key of a ConfigMap, is text.
func formatOfName(name string) format {
	switch strings.ToLower(path.Ext(name)) {
	case ".md", ".markdown", ".mdown", ".mkd":
		return formatMarkdown
	case ".html", ".htm", ".xhtml":
		return formatHTML
	case ".txt", ".text", "":
		return formatText
	default:
		return formatNone
	}
}

// parsed is a document that was taken apart.
type parsed struct {
	// title is empty if it has none.
	title  string
	blocks []block
}

// block is a paragraph, a list, a heading: what is kept together if it can be. Blocks are in the order of the document and do
// not overlap.
type block struct {
	// start and end are bytes of the document.
	start, end int
	// text is what a model reads, if that is not what stands there.
	text string
	// headings are those above it, and a heading itself; level is the heading's, and 0 for any other block.
	headings []string
	level    int
}

// parse takes a document apart into blocks that are no larger than most bytes.
func parse(kind format, source []byte, most int) parsed {
	switch {
	case kind == formatMarkdown && !tooDeep(source):
		return parseMarkdown(source, most)
	case kind == formatHTML:
		return parseHTML(source, most)
	default:
		return parseText(source, most)
	}
}

// The most bytes of a heading, or a title, that are kept, and the most headings above a passage.
const (
	maxHeading = 200
	maxDepth   = 6
)

// outline keeps the headings above the place that is read.
type outline struct {
	texts  []string
	levels []int
}

// enter goes below a heading and returns the headings from then on.
func (o *outline) enter(level int, text string) []string {
	keep := len(o.levels)
	for keep > 0 && o.levels[keep-1] >= level {
		keep--
	}

	keep = min(keep, maxDepth-1)
	o.levels = append(o.levels[:keep:keep], level)
	o.texts = append(o.texts[:keep:keep], text) // what blocks have already is not written over

	return o.texts
}

// tidy makes one line of a heading.
func tidy(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) <= maxHeading {
		return text
	}

	return strings.ToValidUTF8(text[:maxHeading], "")
}

// span is a part of a document.
type span struct{ start, end int }

// trim leaves white space at both ends out.
func (s span) trim(source []byte) span {
	part := source[s.start:s.end]
	s.start += len(part) - len(bytes.TrimLeft(part, " \t\r\n\f\v"))
	s.end = s.start + len(bytes.TrimRight(source[s.start:s.end], " \t\r\n\f\v"))

	return s
}

// split cuts a span into parts that are no larger than most bytes: between paragraphs if it can be, lines, sentences, words, runes.
func (s span) split(source []byte, most int) []span {
	var parts []span

	for rest := s.trim(source); rest.start < rest.end; rest = rest.trim(source) {
		cut := rest.end
		if rest.end-rest.start > most {
			cut = rest.start + cutAt(source[rest.start:rest.start+most])
		}

		parts = append(parts, span{rest.start, cut}.trim(source))
		rest.start = cut
	}

	return parts
}

// cutAt is where a window is cut best, after its middle; at least 1.
func cutAt(window []byte) int {
	half := window[len(window)/2:]

	for _, separator := range []string{"\n\n", "\n", ". ", "! ", "? ", "; ", " "} {
		if at := bytes.LastIndex(half, []byte(separator)); at >= 0 {
			return len(window) - len(half) + at + len(separator)
		}
	}

	for cut := len(window); cut > len(window)-utf8.UTFMax && cut > 1; cut-- {
		if last, size := utf8.DecodeLastRune(window[:cut]); last != utf8.RuneError || size > 1 {
			return cut
		}
	}

	return len(window)
}
