package ambassador

import (
	"encoding/json"
	"net/http"
)

// messagesDoor speaks Anthropic's Messages API. What a provider that speaks it too says passes as it is.
type messagesDoor struct{}

func (messagesDoor) native(spoken dialect) bool {
	_, same := spoken.(anthropic)

	return same
}

func (d messagesDoor) answer(completion, own []byte, spoken dialect) ([]byte, error) {
	if d.native(spoken) {
		return own, nil
	}

	return messageOf(completion)
}

func (messagesDoor) stream() encoder { return &messagesEncoder{} }

func (messagesDoor) error(told *apiError) []byte {
	var body struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}

	body.Type, body.Error.Type, body.Error.Message = "error", messagesErrorType(told.status), told.Message

	encoded, err := json.Marshal(body)
	if err != nil { // strings always marshal
		return []byte(`{"type":"error","error":{"type":"api_error","message":"internal error"}}`)
	}

	return encoded
}

func (d messagesDoor) last(told *apiError) []byte {
	return appendEvent(nil, "error", d.error(told))
}

// messagesErrorType names a status as the Messages API does.
func messagesErrorType(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "invalid_request_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	default:
		return "api_error"
	}
}

// appendEvent writes one event with its name. Each line of its data needs its own prefix.
func appendEvent(buffer []byte, name string, data []byte) []byte {
	if name != "" {
		buffer = append(append(append(buffer, "event: "...), name...), '\n')
	}

	return appendFrame(buffer, data)
}
