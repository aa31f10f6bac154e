package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/loadtest/llmsim"
	"github.com/serinhq/serin/services/ambassador"
)

func (w *workload) ambassadorRoom() (*room, error) {
	config, err := ambassador.FromEnv(w.env.Getenv)
	if err != nil {
		return nil, err
	}

	config.Telemetry = w.telemetry

	serves, err := w.simulator(&config)
	if err != nil {
		return nil, err
	}

	service, err := ambassador.New(config)
	if err != nil {
		return nil, err
	}

	listener, err := w.config.listener("llm")
	if err != nil {
		return nil, err
	}

	server := &http.Server{Handler: service.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}

	return &room{
		checks: service.Checks(),
		// The ambassador stops first, the simulator behind it after that.
		serves: append([]serving{serverServing("llm", server, w.secureLLM(listener))}, serves...),
		close:  func() error { service.Close(); return nil },
	}, nil
}

// secureLLM lets agents in alone; in a pod, where nobody else reaches the address, that is plain.
func (w *workload) secureLLM(listener net.Listener) net.Listener {
	if w.config.plane() != planeEmbedded {
		return listener
	}

	security := w.credentials.ServerTLS(rpc.AnyAgent)
	security.NextProtos = []string{"h2", "http/1.1"}

	return tls.NewListener(listener, security)
}

// simulator serves the simulated provider within this process, if the configuration asks for one.
func (w *workload) simulator(config *ambassador.Config) ([]serving, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // taking a local port does not block
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated provider: %w", err)
	}

	if !config.UseSimulator("http://" + listener.Addr().String() + "/v1") {
		return nil, listener.Close() //nolint:wrapcheck // nothing to add
	}

	simulator, err := llmsim.New(llmsim.Config{})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}

	return []serving{httpServing("simulated provider", simulator, listener)}, nil
}

// llmReady checks the ambassador the way that the agent will use it.
func (w *workload) llmReady() health.Check {
	client := w.llmClient()
	url := w.llmURL() + "/models"

	return health.Check{Name: "llm", TTL: healthTTL, Grace: dependencyGrace, Func: func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask the ambassador: %w", err)
		}

		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask the ambassador: %w", err)
		}
		defer response.Body.Close() //nolint:errcheck // only the status was wanted

		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the ambassador answers %s", response.Status)
		}

		return nil
	}}
}
