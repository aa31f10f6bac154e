package ambassador

// door is how a client is spoken to. There is one file per API: chatdoor.go and messagesdoor.go.
type door interface {
	// answer is a whole answer as the client knows it. completion is a chat.completion, own the provider's words for it:
	// if the provider speaks the client's API, they pass as they are.
	answer(completion, own []byte, dialect dialect) ([]byte, error)
	// stream starts the encoding of one stream.
	stream() encoder
	// native reports whether a provider's own events can pass as they are.
	native(dialect dialect) bool
	// error is an error as the client knows it.
	error(told *apiError) []byte
	// last is the event that ends a stream with an error.
	last(told *apiError) []byte
}

// encoder turns chunks into what one client reads.
type encoder interface {
	// chunk adds what a chat.completion.chunk says to a buffer. It fails if the client's API can't express it.
	chunk(buffer, data []byte) ([]byte, error)
	// done adds the end of a stream that is whole.
	done(buffer []byte) []byte
}
