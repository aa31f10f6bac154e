package retriever

import "slices"

// IsCommon reports whether a word says nothing about what a text is about.
func IsCommon(word string) bool { return slices.Contains(common, word) }
