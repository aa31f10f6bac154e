package pii

import "strings"

// Stream restores a text that comes in pieces: what may become a placeholder waits until it is one, or is none.
type Stream struct {
	book *Book
	held string
}

// NewStream restores what a book hides.
func NewStream(book *Book) *Stream { return &Stream{book: book} }

// Write takes the next piece and returns what can be shown now.
func (s *Stream) Write(piece string) string {
	text := s.held + piece
	ready := len(text)

	if begins := strings.LastIndexByte(text, '['); begins >= 0 {
		if _, open := placeholder(text[begins:]); open {
			ready = begins
		}
	}

	s.held = text[ready:]

	return s.book.Restore(text[:ready])
}

// Close returns what still waited.
func (s *Stream) Close() string {
	rest := s.held
	s.held = ""

	return s.book.Restore(rest)
}
