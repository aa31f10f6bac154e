package retriever

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// markdown finds blocks alone: what is within them is for the model to read. Definitions of links stay paragraphs, since
// looking for them takes time that grows with the square of their number.
func markdown() parser.Parser {
	return parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...))
}

// How deep blocks may lie in each other: quotations by their marks, lists by their indentation. Nobody writes more, and the
// time that a parser takes grows with the square of it.
const (
	maxQuotes      = 32
	maxIndentation = 128
)

// deep matches the beginning of a line: marks of quotations and of lists' items, and what is left free before them.
var deep = regexp.MustCompile(`^(?:[ \t]+|>|(?:[-+*]|[0-9]{1,9}[.)])[ \t])*`)

// tooDeep reports whether a line lies deeper than that.
func tooDeep(source []byte) bool {
	for line := range bytes.Lines(source) {
		marks := deep.Find(line)
		if bytes.Count(marks, []byte(">")) > maxQuotes || len(marks) > maxIndentation && len(bytes.TrimSpace(line)) > 0 {
			return true
		}
	}

	return false
}

// parseMarkdown takes Markdown apart: blocks are those of its top level.
func parseMarkdown(source []byte, most int) parsed {
	doc, from := frontMatter(source)
	body := source[from:]
	root := markdown().Parse(text.NewReader(body))

	var (
		outline outline
		above   []string
	)

	for node := root.FirstChild(); node != nil; {
		next := node.NextSibling()
		place := span{from + lineOf(body, node.Pos()), len(source)}

		for ; next != nil; next = next.NextSibling() { // what has no place of its own belongs to the block before
			if at := from + lineOf(body, next.Pos()); next.Pos() >= 0 && at > place.start {
				place.end = at

				break
			}
		}

		level := 0
		if heading, ok := node.(*ast.Heading); ok {
			level = heading.Level
			above = outline.enter(level, headingText(heading, body))

			if doc.title == "" && level == 1 {
				doc.title = above[0]
			}
		}

		for _, part := range place.split(source, most) {
			doc.blocks = append(doc.blocks, block{start: part.start, end: part.end, headings: above, level: level})
			level = 0
		}

		node = next
	}

	return doc
}

// lineOf is where the line begins that a place is in.
func lineOf(source []byte, at int) int {
	at = min(max(at, 0), len(source))

	return bytes.LastIndexByte(source[:at], '\n') + 1
}

func headingText(heading *ast.Heading, source []byte) string {
	var written strings.Builder

	lines := heading.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		written.Write(line.Value(source))
		written.WriteByte(' ')
	}

	return tidy(strings.NewReplacer("*", "", "`", "", "__", "").Replace(written.String()))
}

// frontMatter passes over what some tools write above Markdown, between lines of ---, and takes the title from there.
func frontMatter(source []byte) (doc parsed, end int) {
	if !bytes.HasPrefix(source, []byte("---\n")) && !bytes.HasPrefix(source, []byte("---\r\n")) {
		return doc, 0
	}

	at := 0

	for line := range bytes.Lines(source) {
		at += len(line)
		trimmed := strings.TrimSpace(string(line))

		if name, value, found := strings.Cut(trimmed, ":"); found && name == "title" {
			doc.title = tidy(strings.Trim(strings.TrimSpace(value), `"'`))
		}

		if at > len(line) && trimmed == "---" {
			return doc, at
		}
	}

	return parsed{}, 0 // it was a line across the page
}
