package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/internal/testenv"
)

// prometheus is one that scrapes a platform each second.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus runs Debian's, which finds the platform's processes as users' would.
func startPrometheus(t *testing.T, p *testPlatform) *prometheus {
	t.Helper()
	testenv.Require(t, "prometheus")

	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")

	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: serin
  file_sd_configs: [{files: [%q], refresh_interval: 1s}]
`, filepath.Join(p.config.Data, "run", "prometheus.json"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	address := testenv.FreePort(t) // Prometheus does not tell the port that it takes for 0
	command := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	command.Stdout, command.Stderr = t.Output(), t.Output()

	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})

	return &prometheus{t: t, url: "http://" + address}
}

// sample is one number with its labels.
type sample struct {
	labels map[string]string
	value  float64
}

// ask puts a question; no answer is not one of zero.
func (p *prometheus) ask(promQL string) ([]sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(promQL), nil)
	if err != nil {
		return nil, err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()

	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}

	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		return nil, fmt.Errorf("%s: %s %w", promQL, answer.Error, err)
	}

	samples := make([]sample, len(answer.Data.Result))

	for i, result := range answer.Data.Result {
		var text string
		if err := json.Unmarshal(result.Value[1], &text); err != nil {
			return nil, err
		}

		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}

		samples[i] = sample{result.Metric, value}
	}

	return samples, nil
}

// number is the sum of an answer's numbers.
func (p *prometheus) number(promQL string) float64 {
	samples, err := p.ask(promQL)
	if err != nil {
		return -1 // it is not ready yet
	}

	sum := 0.0
	for _, one := range samples {
		sum += one.value
	}

	return sum
}

// wait asks until the answer is the number wanted.
func (p *prometheus) wait(promQL string, want float64) {
	p.t.Helper()

	got, deadline := 0.0, time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if got = p.number(promQL); got == want {
			return
		}

		time.Sleep(100 * time.Millisecond) // between two looks; the deadline above decides
	}

	p.t.Fatalf("%s is %v after %s, want %v", promQL, got, patience, want)
}

// query asks one of those that are documented.
func (p *prometheus) query(name string) []sample {
	p.t.Helper()

	query, known := telemetry.Queries()[name]
	if !known {
		p.t.Fatalf("there is no query %q", name)
	}

	samples, err := p.ask(query.PromQL)
	if err != nil {
		p.t.Fatal(err)
	}

	return samples
}

// one is the answer of a query for what has a label.
func (p *prometheus) one(name, label, value string) sample {
	p.t.Helper()

	samples := p.query(name)
	for _, one := range samples {
		if one.labels[label] == value {
			return one
		}
	}

	p.t.Fatalf("%s says nothing of %s %q: %v", name, label, value, samples)

	return sample{}
}
