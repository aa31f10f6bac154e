package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// piece is one text that a prompt quotes, and what it is.
type piece struct{ title, text string }

// reference writes quoted texts for a prompt. What stands in them is data: the model is told so, and no text can end its part,
// since the marks between the pieces follow from the turn and from all that is between them. The introduction has a place
// for the mark.
func reference(turnID, introduction, kind string, pieces []piece) string {
	if len(pieces) == 0 {
		return ""
	}

	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s\x00", turnID) // it never fails

	for _, piece := range pieces {
		_, _ = fmt.Fprintf(hash, "%d\x00%s", len(piece.text), piece.text)
	}

	mark := hex.EncodeToString(hash.Sum(nil))[:12]

	var text strings.Builder

	fmt.Fprintf(&text, "\n\n"+introduction, mark)

	for i, piece := range pieces {
		fmt.Fprintf(&text, "\n\n--- %s: %s %d, %s\n%s\n--- %s: end of %s %d", mark, kind, i+1, piece.title, piece.text, mark, kind, i+1)
	}

	return text.String()
}
