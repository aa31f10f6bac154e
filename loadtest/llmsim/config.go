// Package llmsim is a simulated LLM provider: an OpenAI-compatible server that needs no key, no network and no model,
// for demonstrations, tests and load. It works for any agents: it picks handoffs and tools by how well their names and
// descriptions match what the user said, fills arguments from the JSON Schema, the message and earlier results, and
// answers in sentences.
//
// It is deterministic: the same seed and the same request give the same answer, in whatever order requests come.
// Faults and pace are set for all requests by Config, and by a line in the system prompt for those of one prompt:
//
//	@sim fail=0.3 ttft=200ms tps=50
//
// so that a bad prompt can be rehearsed. Every answer says that it is simulated: its model and system_fingerprint, the
// extra field "simulated", and the header serin-simulated.
package llmsim

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config configures the simulation. The zero value answers at once and without faults.
type Config struct {
	// Seed changes the choice of words and which requests meet a fault.
	Seed uint64
	// TTFT is the time to the first token.
	TTFT time.Duration
	// TokensPerSecond is the pace of what follows; 0 is as fast as possible.
	TokensPerSecond float64
	// Words is the length of answers; 0 is as long as there is something to say.
	Words int
	// Faults are what goes wrong.
	Faults Faults
	// Models are listed by GET /v1/models; default "simulated". Any model may be asked for.
	Models []string
	// Now tells the date that "tomorrow" refers to; default time.Now.
	Now func() time.Time
}

// Faults are shares of the requests, from 0 to 1. Which requests they are depends on the seed and on the request. Fail
// and Refuse hit a request however often it is tried; the others are drawn anew with each try that is counted by one of
// the headers serin-try and x-stainless-retry-count.
type Faults struct {
	// Fail answers with Status.
	Fail float64
	// Status is the HTTP status of Fail; default 500.
	Status int
	// Refuse answers that the model won't help.
	Refuse float64
	// Slow adds SlowBy to the time to the first token.
	Slow float64
	// SlowBy defaults to 2 s.
	SlowBy time.Duration
	// Cut breaks the answer off in its middle.
	Cut float64
	// Malformed puts something into the answer that is not JSON.
	Malformed float64
	// RateLimit answers 429 with RetryAfter.
	RateLimit float64
	// RetryAfter defaults to 1 s.
	RetryAfter time.Duration
}

// settings are what holds for one request.
type settings struct { //nolint:recvcheck // only set changes its receiver
	ttft   time.Duration
	tps    float64
	words  int
	faults Faults
}

// Server is the simulated provider, an http.Handler. Make it with New.
type Server struct {
	cfg Config
	mux *http.ServeMux
}

// New makes a server. It fails if a setting is out of its range.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}

	if len(cfg.Models) == 0 {
		cfg.Models = []string{"simulated"}
	}

	server := &Server{cfg: cfg, mux: http.NewServeMux()}
	server.mux.HandleFunc("POST /v1/chat/completions", server.serveChat)
	server.mux.HandleFunc("POST /v1/embeddings", server.serveEmbeddings)
	server.mux.HandleFunc("GET /v1/models", server.serveModels)
	server.mux.HandleFunc("/", serveNothing)

	return server, server.settings().validate()
}

// ServeHTTP serves POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models.
func (s *Server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	writer.Header()["Serin-Simulated"] = []string{"true"}
	s.mux.ServeHTTP(writer, request)
}

func (s *Server) settings() settings {
	return settings{ttft: s.cfg.TTFT, tps: s.cfg.TokensPerSecond, words: s.cfg.Words, faults: s.cfg.Faults}.withDefaults()
}

func (s settings) withDefaults() settings {
	if s.faults.Status == 0 {
		s.faults.Status = http.StatusInternalServerError
	}

	if s.faults.SlowBy == 0 {
		s.faults.SlowBy = 2 * time.Second
	}

	if s.faults.RetryAfter == 0 {
		s.faults.RetryAfter = time.Second
	}

	return s
}

func (s settings) validate() error {
	for name, share := range map[string]float64{
		"fail": s.faults.Fail, "refuse": s.faults.Refuse, "slow": s.faults.Slow, "cut": s.faults.Cut,
		"malformed": s.faults.Malformed, "ratelimit": s.faults.RateLimit,
	} {
		if share < 0 || share > 1 {
			return fmt.Errorf("%s is %v; it must be from 0 to 1", name, share)
		}
	}

	switch {
	case s.faults.Status < http.StatusBadRequest || s.faults.Status > 599:
		return fmt.Errorf("status is %d; it must be from 400 to 599", s.faults.Status)
	case s.ttft < 0, s.tps < 0, s.words < 0, s.faults.SlowBy < 0, s.faults.RetryAfter < 0:
		return errors.New("times, tps and words must not be negative")
	default:
		return nil
	}
}
