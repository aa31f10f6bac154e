package ambassador

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// model is an entry of GET /v1/models.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// serveModels lists "default" and what the routed providers have. A provider that can't be asked is left out.
func (s *Service) serveModels(writer http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), s.cfg.Deadlines.Connect)
	defer cancel()

	models := map[string]model{DefaultModel: {ID: DefaultModel, Object: "model", OwnedBy: "serin"}}

	for _, provider := range s.route() {
		for _, name := range provider.offered(ctx) {
			if _, known := models[name]; !known {
				models[name] = model{ID: name, Object: "model", OwnedBy: provider.Name}
			}
		}
	}

	data := slices.SortedFunc(maps.Values(models), func(a, b model) int { return strings.Compare(a.ID, b.ID) })

	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(struct { // the client may be gone
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", data})
}

// offered are the model names that clients may use with the provider.
func (p *provider) offered(ctx context.Context) []string {
	if len(p.Models) > 0 {
		return slices.DeleteFunc(slices.Collect(maps.Keys(p.Models)), func(name string) bool { return name == AnyModel })
	}

	names, err := p.models(ctx)
	if err != nil {
		return nil
	}

	return names
}
