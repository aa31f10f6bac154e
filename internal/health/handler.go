package health

import (
	"encoding/json"
	"net/http"
)

// report is the JSON of a probe.
type report struct {
	// Status is ok, degraded (something failed that is not in the way) or unavailable.
	Status string `json:"status"`
	// Reason is starting or draining, if that is why.
	Reason string   `json:"reason,omitempty"`
	Checks []Result `json:"checks"`
}

// Handler serves /health/live, /health/ready and /health/startup: 200 or 503, with what each check says as JSON.
func (c *Checker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", c.serveLive)
	mux.HandleFunc("GET /health/ready", c.serveReady)
	mux.HandleFunc("GET /health/startup", c.serveStartup)

	return mux
}

// serveLive answers as long as the process can answer at all: restarting it would not mend its dependencies.
func (c *Checker) serveLive(writer http.ResponseWriter, _ *http.Request) {
	write(writer, report{Status: statusOK})
}

func (c *Checker) serveStartup(writer http.ResponseWriter, _ *http.Request) {
	if !c.Started() {
		write(writer, report{Status: statusUnavailable, Reason: "starting"})

		return
	}

	write(writer, report{Status: statusOK})
}

func (c *Checker) serveReady(writer http.ResponseWriter, request *http.Request) {
	if reason := c.phase(); reason != "" {
		write(writer, report{Status: statusUnavailable, Reason: reason})

		return
	}

	write(writer, summarize(c.results(request.Context())))
}

func summarize(results []Result) report {
	summary := report{Status: statusOK, Checks: results}

	for _, result := range results {
		switch {
		case result.inTheWay():
			summary.Status = statusUnavailable
		case result.Status != statusOK && summary.Status == statusOK:
			summary.Status = statusDegraded
		}
	}

	return summary
}

func write(writer http.ResponseWriter, body report) {
	if body.Checks == nil {
		body.Checks = []Result{}
	}

	encoded, err := json.Marshal(body)
	if err != nil { // strings always marshal
		http.Error(writer, err.Error(), http.StatusInternalServerError)

		return
	}

	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Cache-Control", "no-store")

	if body.Status == statusUnavailable {
		writer.WriteHeader(http.StatusServiceUnavailable)
	}

	_, _ = writer.Write(append(encoded, '\n')) // if it fails the prober is gone: nobody is left to tell
}
