package ambassador

import (
	"context"
	"net/http"
	"strconv"
)

// tryHeader tells the simulated provider how often a request was tried, so that its passing faults can pass.
const tryHeader = "Serin-Try"

// simulated speaks to Serin's simulated provider: OpenAI's API, and the number of the try.
type simulated struct{ openAI }

func (s simulated) request(ctx context.Context, try outgoing) (*http.Request, error) {
	request, err := s.openAI.request(ctx, try)
	if err == nil {
		request.Header[tryHeader] = []string{strconv.Itoa(try.number)}
	}

	return request, err
}
