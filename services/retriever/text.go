package retriever

import "bytes"

// parseText takes plain text apart: blocks are what empty lines separate.
func parseText(source []byte, most int) parsed {
	var doc parsed

	from, at := 0, 0
	end := func() {
		for _, part := range (span{from, at}).split(source, most) {
			doc.blocks = append(doc.blocks, block{start: part.start, end: part.end})
		}

		from = at
	}

	for line := range bytes.Lines(source) {
		at += len(line)

		if len(bytes.TrimSpace(line)) == 0 {
			end()
		}
	}

	end()

	return doc
}
