// Package pii finds personal data in texts and replaces it by placeholders that can be turned back: a [Book] says which
// placeholder stands for which value. It decides by check digits and by how things are written, never by guessing at
// words, and it keeps nothing: the same texts in the same order always make the same book.
package pii
