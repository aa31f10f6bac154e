package retriever

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// passage is a part of a document that is found as one.
type passage struct {
	start, end int
	headings   []string
	text       string
}

// context is what tells of a passage beside its text, for rankings: the document's title and the headings above.
func (p *passage) context(title string) string {
	above := p.headings
	if len(above) > 0 && above[0] == title {
		above = above[1:]
	}

	return strings.Join(append([]string{title}, above...), "\n")
}

// digest names what a passage's vector is of.
func digestOf(context, text string) string {
	sum := sha256.Sum256([]byte(embedded(context, text)))

	return hex.EncodeToString(sum[:])
}

// embedded is what a passage's vector is of.
func embedded(context, text string) string { return context + "\n\n" + text }

// pack joins blocks into passages that are no larger than most bytes, none of which goes beyond a heading. A heading with nothing but
// headings of lower levels below it makes none: those name it.
func pack(doc parsed, source []byte, most int) []passage {
	var (
		packed []passage
		open   []block
	)

	for i, next := range doc.blocks {
		if len(open) > 0 && (next.level > 0 || sizeOf(append(open, next)) > most) {
			packed, open = append(packed, join(open, source)...), nil
		}

		open = append(open, next)
		deeper := i+1 < len(doc.blocks) && next.level > 0 && doc.blocks[i+1].level > next.level

		if len(open) == 1 && deeper {
			open = nil
		}
	}

	return append(packed, join(open, source)...)
}

// sizeOf is how long the text of blocks is when they are joined.
func sizeOf(open []block) int {
	if open[0].text == "" {
		return open[len(open)-1].end - open[0].start
	}

	size := len(open) - 1
	for _, one := range open {
		size += len(one.text)
	}

	return size
}

// join makes one passage of blocks that follow each other.
func join(open []block, source []byte) []passage {
	if len(open) == 0 {
		return nil
	}

	first, last := open[0], open[len(open)-1]
	made := passage{start: first.start, end: last.end, headings: first.headings}

	if first.text == "" {
		made.text = strings.ToValidUTF8(string(source[made.start:made.end]), "")

		return []passage{made}
	}

	texts := make([]string, len(open))
	for i, one := range open {
		texts[i] = one.text
	}

	made.text = strings.Join(texts, "\n")

	return []passage{made}
}
