package ambassador

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

const (
	// recently is how long a provider counts as healthy after an answer, without being asked again.
	recently = 30 * time.Second
	// maxListBytes is how much of a list of models is read.
	maxListBytes = 4 << 20
	// listedFor is how long a list of models is kept.
	listedFor = time.Minute
)

// provider is an upstream at work.
type provider struct {
	ProviderConfig

	dialect   dialect
	transport *http.Transport
	keys      *keyring
	queue     *queue

	lastAnswer atomic.Int64 // unix nanoseconds

	mu     sync.Mutex
	listed []string
	until  time.Time
}

func newProvider(cfg ProviderConfig, service Config) *provider {
	return &provider{
		ProviderConfig: cfg,
		dialect:        dialectOf(cfg.Kind),
		transport:      newTransport(service.Deadlines),
		keys:           newKeyring(cfg.APIKeys, cfg.APIKeyFiles, service.Telemetry.Logger),
		queue:          newQueue(cfg.MaxConcurrent, cfg.MaxQueue),
	}
}

func dialectOf(kind string) dialect {
	switch kind {
	case KindAnthropic:
		return anthropic{}
	case KindSimulated:
		return simulated{}
	default:
		return openAI{}
	}
}

// newTransport is the provider's own: its connections and its limits are nobody else's.
func newTransport(limits Deadlines) *http.Transport {
	dialer := &net.Dialer{Timeout: limits.Connect}

	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   limits.Connect,
		ResponseHeaderTimeout: limits.Total + time.Second, // the last resort: the watchdog knows the phases
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // chunks pass as they come
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   512,
		IdleConnTimeout:       90 * time.Second,
	}
}

// answered notes that the provider works.
func (p *provider) answered() { p.lastAnswer.Store(time.Now().UnixNano()) }

// serves returns the provider's name for a model, and whether it may be asked for it.
func (p *provider) serves(model string) (string, bool) {
	if mapped, listed := p.Models[model]; listed {
		return mapped, true
	}

	if model == DefaultModel {
		return p.DefaultModel, true
	}

	if mapped, listed := p.Models[AnyModel]; listed {
		return mapped, true
	}

	return model, len(p.Models) == 0
}

// models asks the provider which models it has. The list is kept for a minute.
func (p *provider) models(ctx context.Context) ([]string, error) {
	if listed, fresh := p.known(); fresh {
		return listed, nil
	}

	body, err := p.get(ctx, "/models")
	if err != nil {
		return nil, err
	}

	names := []string{}
	for _, name := range gjson.GetBytes(body, "data.#.id").Array() {
		names = append(names, name.String())
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	p.listed, p.until = names, time.Now().Add(listedFor)

	return names, nil
}

func (p *provider) known() ([]string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.listed, time.Now().Before(p.until)
}

func (p *provider) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.BaseURL+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", p.Name, err)
	}

	request.Header.Set("User-Agent", userAgent)

	if keys := p.keys.order(); len(keys) > 0 { //nolint:contextcheck // only logs, of all requests' keys
		p.dialect.authorize(request, keys[0])
	}

	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", p.Name, err)
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written to it

	body, err := readAll(http.MaxBytesReader(nil, response.Body, maxListBytes), -1)

	switch {
	case response.StatusCode != http.StatusOK:
		return nil, fault.New(codes.Unavailable, "PROVIDER_UNAVAILABLE", "%s answered %s", p.Name, response.Status)
	case err != nil:
		return nil, fmt.Errorf("asking %s: %w", p.Name, err)
	default:
		p.answered()

		return body, nil
	}
}

// healthy reports why the provider can't be used, asking it only if it has not answered recently.
func (p *provider) healthy(ctx context.Context) error {
	if time.Since(time.Unix(0, p.lastAnswer.Load())) < recently {
		return nil
	}

	_, err := p.get(ctx, "/models")

	return err
}
