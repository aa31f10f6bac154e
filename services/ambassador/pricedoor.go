package ambassador

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
)

// dearest is the answer of GET /v1/prices: what a request for some models may cost at most, whichever provider answers.
type dearest struct {
	Object string `json:"object"`
	// Input and Output are US dollars per million tokens.
	Input  float64 `json:"input"`
	Output float64 `json:"output"`
	// Unknown are those that may answer and that have no price, as PROVIDER/MODEL.
	Unknown []string `json:"unknown"`
}

// servePrices tells a caller that keeps a budget what it has to reserve: ?model=NAME, several for fallbacks.
func (s *Service) servePrices(writer http.ResponseWriter, request *http.Request) {
	models := request.URL.Query()["model"]
	if len(models) == 0 {
		models = []string{DefaultModel}
	}

	found := dearest{Object: "serin.prices", Unknown: []string{}}

	targets := s.targets(request.Context(), models)
	for _, target := range targets {
		known, priced := s.prices.find(request.Context(), target.provider.Name, target.model)
		if !priced {
			found.unknown(target)

			continue
		}

		input, output := known.dearest()
		found.Input, found.Output = math.Max(found.Input, input), math.Max(found.Output, output)
	}

	if len(targets) == 0 {
		unserved(models[0]).write(writer)

		return
	}

	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(found) // the client may be gone
}

func (d *dearest) unknown(target target) {
	if name := target.provider.Name + "/" + target.model; !slices.Contains(d.Unknown, name) {
		d.Unknown = append(d.Unknown, name)
	}
}
