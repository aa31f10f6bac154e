package retriever

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// hidden are elements whose content is not the document's text.
var hidden = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Svg: true, atom.Math: true, atom.Nav: true,
	atom.Select: true, atom.Button: true, atom.Iframe: true, atom.Object: true, atom.Canvas: true, atom.Audio: true, atom.Video: true,
}

// inline are elements that a word may go on through; any other one ends a block.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Bdi: true, atom.Bdo: true, atom.Cite: true, atom.Code: true, atom.Data: true,
	atom.Del: true, atom.Dfn: true, atom.Em: true, atom.Font: true, atom.I: true, atom.Img: true, atom.Ins: true, atom.Kbd: true,
	atom.Label: true, atom.Mark: true, atom.Q: true, atom.S: true, atom.Samp: true, atom.Small: true, atom.Span: true,
	atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.Time: true, atom.U: true, atom.Var: true, atom.Wbr: true, 0: true,
}

// page takes HTML apart, token by token: a tree would not know where its nodes stand in the document.
type page struct {
	most int
	doc  parsed

	outline outline
	above   []string
	// skip is the hidden element that the reader is in, and depth how often it was opened.
	skip  atom.Atom
	depth int
	// level is that of the heading that is being read, title whether the title is, pre whether lines count.
	level int
	title bool
	pre   bool

	// What the block that is being read has so far; gap is what separates the next word from it.
	text       strings.Builder
	start, end int
	gap        string
}

// parseHTML takes HTML apart: blocks are the text between the tags that are not inline.
func parseHTML(source []byte, most int) parsed {
	reader, tokens, at := &page{most: most}, html.NewTokenizer(bytes.NewReader(source)), 0

	for {
		kind := tokens.Next()
		raw := tokens.Raw()
		start := at
		at += len(raw)

		switch kind { //nolint:exhaustive // comments and document types say nothing
		case html.ErrorToken: // the end; what is no tag up to it is none
			reader.flush()

			return reader.doc
		case html.TextToken:
			reader.read(start, raw)
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := tokens.TagName()
			reader.tag(atom.Lookup(name), kind)
		}
	}
}

func (p *page) tag(name atom.Atom, kind html.TokenType) {
	opens, closes := kind == html.StartTagToken, kind == html.EndTagToken

	switch {
	case p.skip != 0:
		p.skipping(name, opens, closes)
	case opens && hidden[name]:
		p.skip, p.depth = name, 1
	case name == atom.Br:
		p.gap = "\n"
	case name == atom.Td || name == atom.Th:
		p.space()
	case inline[name]:
	default:
		p.flush()

		switch name { //nolint:exhaustive // those alone change how text is read
		case atom.Pre:
			p.pre = opens
		case atom.Title:
			p.title = opens
		case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
			p.level = 0
			if opens {
				p.level = int(name.String()[1] - '0')
			}
		}
	}
}

func (p *page) skipping(name atom.Atom, opens, closes bool) {
	switch {
	case name != p.skip:
	case opens:
		p.depth++
	case closes:
		if p.depth--; p.depth == 0 {
			p.skip = 0
			p.space()
		}
	}
}

func (p *page) space() {
	if p.gap == "" {
		p.gap = " "
	}
}

// read takes the text between two tags.
func (p *page) read(start int, raw []byte) {
	if p.skip != 0 {
		return
	}

	for at := 0; at < len(raw); {
		width := bytes.IndexAny(raw[at:], p.separators())
		if width < 0 {
			width = len(raw) - at
		}

		if width == 0 {
			if raw[at] == '\n' && p.pre {
				p.gap = "\n"
			} else {
				p.space()
			}

			at++

			continue
		}

		for _, part := range p.parts(span{at, at + width}, raw) {
			p.word(start+part.start, start+part.end, html.UnescapeString(string(raw[part.start:part.end])))
		}

		at += width
	}
}

// parts are those of a word or a line that blocks have room for; a line of pre keeps its indentation.
func (p *page) parts(whole span, raw []byte) []span {
	if whole.end-whole.start <= p.most {
		return []span{whole}
	}

	return whole.split(raw, p.most)
}

// separators end words, or within pre, lines.
func (p *page) separators() string {
	if p.pre {
		return "\r\n"
	}

	return " \t\r\n\f"
}

func (p *page) word(start, end int, text string) {
	if p.text.Len() > 0 && p.text.Len()+len(p.gap)+len(text) > p.most && !p.title && p.level == 0 {
		p.flush()
	}

	if p.text.Len() == 0 {
		p.start, p.gap = start, ""
	}

	p.text.WriteString(p.gap)
	p.text.WriteString(text)
	p.end, p.gap = end, ""
}

// flush ends a block.
func (p *page) flush() {
	text := strings.TrimSpace(strings.ToValidUTF8(p.text.String(), ""))
	p.text.Reset()
	p.gap = ""

	switch {
	case text == "":
		return
	case p.title:
		p.doc.title = tidy(text)

		return
	case p.level > 0:
		text = tidy(text)
		p.above = p.outline.enter(p.level, text)
	}

	p.doc.blocks = append(p.doc.blocks, block{start: p.start, end: p.end, text: text, headings: p.above, level: p.level})
}
