package agent

import (
	"context"
	"errors"
)

// errDraining is why a segment is given back.
var errDraining = errors.New("the agent is shutting down")

// Run waits for ctx to end and then drains for at most the grace of the configuration.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.DrainGrace)
	defer cancel()

	if err := s.Drain(grace); err != nil {
		s.config.Telemetry.Logger.InfoContext(ctx, "gave segments back", "agent", s.name, "reason", err)
	}

	return nil
}

// Drain refuses new segments and lets running ones finish until ctx ends; those that have not are given back, so that
// another process goes on with them at once, and are what the error tells of. The service does nothing any more when
// Drain returns.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.gate.Close()
	s.mu.Unlock()

	err := s.gate.Wait(ctx)

	s.kill(errDraining)
	s.background.Wait()

	return err
}
