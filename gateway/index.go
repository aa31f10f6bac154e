package gateway

import (
	"encoding/json"
	"net/http"
)

// indexPage is what GET / answers with.
func (s *Service) indexPage() []byte {
	routes := make([]string, 0, 16)
	for _, r := range routesOf() {
		routes = append(routes, r.String())
	}

	page := map[string]any{
		"name":    "serin",
		"version": s.cfg.Version,
		"routes":  routes,
		"streams": "send Accept: text/event-stream to POST …/messages, GET …/events and GET /v1/rollouts",
	}
	if s.cfg.OpenAPI != nil {
		page["openapi"], page["docs"] = "/openapi.json", docsPath
	}

	data, err := json.MarshalIndent(page, "", "  ")
	if err != nil { // it is made of strings
		return nil
	}

	return append(data, '\n')
}

// looksAt notes which page is asked for, and reports whether it is only looked at; else it answers.
func looksAt(w http.ResponseWriter, r *http.Request, page string) bool {
	callOf(r.Context()).route = "GET " + page

	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}

	w.Header().Set("Allow", "GET, HEAD")
	writeError(w, r, errVerb(r.Method, r.URL.Path, []string{http.MethodGet}))

	return false
}

// page answers a GET with a document.
func (d *rest) page(w http.ResponseWriter, r *http.Request, document []byte) {
	if !looksAt(w, r, r.URL.Path) {
		return
	}

	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
}
