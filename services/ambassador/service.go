// Package ambassador is the one LLM endpoint that an agent sees. It speaks OpenAI's API and routes each request to a
// provider: by primary and fallback, or by weights; with retries, key rotation and deadlines.
//
// A request passes through without being decoded and encoded again: what the ambassador does not know survives. A
// stream is held back until its first content, so that until then another provider may answer; after that a failure is
// told inside of the stream, as an error event without [DONE]. An answer that broke off never looks like a whole one.
//
// There is one file per kind of provider; see dialect.
package ambassador

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/health"
)

// Service routes LLM requests. Make it with New.
type Service struct {
	cfg       Config
	providers map[string]*provider
	// listed are all providers in their configured order; drawn are those that the weights choose from.
	listed    []*provider
	drawn     []*provider
	cooldowns *cooldowns
	budget    *budget
	prices    *prices
	metrics   *metrics
}

// New makes the service. It fails with a *fault.Error that names the bad fields.
func New(cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}

	service := &Service{
		cfg: cfg, providers: map[string]*provider{}, cooldowns: newCooldowns(), budget: newBudget(cfg.Retry.Ratio),
	}

	for _, one := range cfg.Providers {
		made := newProvider(one, cfg)
		service.providers[one.Name] = made
		service.listed = append(service.listed, made)

		if one.Name != cfg.Fallback {
			service.drawn = append(service.drawn, made)
		}
	}

	var err error
	if service.prices, err = newPrices(cfg.PricesFile, cfg.Telemetry.Logger); err != nil {
		return nil, err
	}

	service.metrics, err = newMetrics(cfg.Telemetry.Meter, service.listed)

	return service, err
}

// Simulated reports whether any answer may be simulated.
func (s *Service) Simulated() bool {
	for _, provider := range s.listed {
		if provider.Kind == KindSimulated {
			return true
		}
	}

	return false
}

// checkGrace is how long no provider may answer before requests are better sent to another process.
const checkGrace = 10 * time.Second

// Checks are what readiness depends on.
func (s *Service) Checks() []health.Check {
	return []health.Check{{Name: "llm", TTL: 10 * time.Second, Grace: checkGrace, Func: s.Check}}
}

// Check says whether at least one provider that requests are routed to can be used. A provider that answered within
// half a minute is not asked.
func (s *Service) Check(ctx context.Context) error {
	// Each in turn could use up the time that all have: the first good answer is enough.
	routed := s.route()
	answers := make(chan error, len(routed))

	for _, provider := range routed {
		go func() { answers <- provider.healthy(ctx) }()
	}

	problems := []error{}

	for range routed {
		err := <-answers
		if err == nil {
			return nil
		}

		problems = append(problems, err)
	}

	return fault.New(codes.Unavailable, "NO_PROVIDER", "no LLM provider can be used: %w", errors.Join(problems...))
}

// Close ends idle connections to providers.
func (s *Service) Close() {
	for _, provider := range s.listed {
		provider.transport.CloseIdleConnections()
	}

	s.metrics.close()
}
