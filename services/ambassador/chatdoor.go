package ambassador

// chatDoor speaks OpenAI's chat completions, which is how the ambassador itself speaks: nothing is translated.
type chatDoor struct{}

func (chatDoor) answer(completion, _ []byte, _ dialect) ([]byte, error) { return completion, nil }
func (chatDoor) stream() encoder                                        { return chatStream{} }
func (chatDoor) native(dialect) bool                                    { return false }
func (chatDoor) error(told *apiError) []byte                            { return told.body() }

func (chatDoor) last(told *apiError) []byte {
	told.raw = nil

	return appendFrame(nil, told.body())
}

type chatStream struct{}

func (chatStream) chunk(buffer, data []byte) ([]byte, error) { return appendFrame(buffer, data), nil }
func (chatStream) done(buffer []byte) []byte                 { return append(buffer, doneFrame...) }
