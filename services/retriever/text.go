package retriever

import "bytes"

// parseText takes plain text apart: blocks are what empty lines separate.
func parseText(source []byte, most int) parsed {
	var doc parsed

	for at := 0; at < len(source); {
		end := len(source)
		if gap := bytes.Index(source[at:], []byte("\n\n")); gap >= 0 {
			end = at + gap + 2
		} else if gap := bytes.Index(source[at:], []byte("\r\n\r\n")); gap >= 0 {
			end = at + gap + 4
		}

		for _, part := range (span{at, end}).split(source, most) {
			doc.blocks = append(doc.blocks, block{start: part.start, end: part.end})
		}

		at = end
	}

	return doc
}
