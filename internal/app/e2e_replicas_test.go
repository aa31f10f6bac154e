package app_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/loadtest"
)

// doors are how users reach a platform with several gateways: they know all addresses and take one after the other.
type doors struct {
	*http.Transport

	hosts []string
	next  atomic.Uint64
	// broken are connections that were refused, reset or cut.
	broken atomic.Int64
}

// doors makes a transport that spreads requests over the platform's gateways.
func (p *testPlatform) doors() *doors {
	p.t.Helper()

	made := &doors{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	p.t.Cleanup(made.CloseIdleConnections)

	for _, gateway := range p.platform.Summary().Gateways {
		address, err := url.Parse(gateway.HTTP)
		if err != nil {
			p.t.Fatal(err)
		}

		made.hosts = append(made.hosts, address.Host)
	}

	return made
}

// RoundTrip sends a request to the next gateway.
func (d *doors) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Host = d.hosts[d.next.Add(1)%uint64(len(d.hosts))]

	response, err := d.Transport.RoundTrip(request)
	if err != nil {
		d.note(request.Context(), err)

		return nil, err
	}

	response.Body = &watched{response.Body, func(err error) { d.note(request.Context(), err) }}

	return response, nil
}

func (d *doors) note(ctx context.Context, err error) {
	if !errors.Is(err, io.EOF) && ctx.Err() == nil {
		d.broken.Add(1)
	}
}

// watched is an answer that tells how reading it ended.
type watched struct {
	io.ReadCloser

	failed func(error)
}

func (w *watched) Read(into []byte) (int, error) {
	n, err := w.ReadCloser.Read(into)
	if err != nil {
		w.failed(err)
	}

	return n, err
}

// Every process is told to end, one after the other, while there are two of each: no turn fails, and no user sees a
// connection refused or cut.
func TestRollingRestartOfReplicas(t *testing.T) {
	underLoad(t)

	database := testenv.OwnPostgres(t).Database(t, "")
	p := startPlatform(t, func(config *app.PlatformConfig) {
		config.Postgres, config.Replicas, config.DemoDelay = database, 2, "300ms"
	})

	names := []string{}
	for _, status := range p.platform.Statuses() {
		names = append(names, status.Name)
	}

	for _, twice := range []string{"serin-context", "serin-tools", "serin-ambassador", "serin-gateway"} {
		if !slices.Contains(names, twice) || !slices.Contains(names, twice+"-2") {
			t.Fatalf("there are not two of %s: %v", twice, names)
		}
	}

	users := p.doors()
	p.transport = users

	report := p.whileTalking(3, func(ctx context.Context, load *loadtest.Load) {
		for _, name := range names {
			load.Mark("restart of " + name)
			p.replace(name, syscall.SIGTERM)
			more(ctx, t, load, 1)
		}
	})

	if failed := report.Turns.FailedBy[loadtest.ProviderError]; failed > 0 {
		t.Errorf("%d turns failed because the ambassador was away", failed)
	}

	if broken := users.broken.Load(); broken > 0 {
		t.Errorf("users saw %d connections refused or cut", broken)
	}
}
