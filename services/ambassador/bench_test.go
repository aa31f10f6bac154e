//go:build unix

package ambassador_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serinhq/serin/services/ambassador"
)

// BenchmarkPass measures what the ambassador adds to a provider that answers at once, beside httputil.ReverseProxy in
// front of the same one: 16 clients in a closed loop, a request of 10 KB. cpu-us/op is the whole process: client, proxy
// and provider.
func BenchmarkPass(b *testing.B) { compare(b, 0) }

// BenchmarkAddedLatency does so at 1,000 requests a second, where what counts is the difference of first-p50-us and
// first-p99-us to direct.
func BenchmarkAddedLatency(b *testing.B) { compare(b, time.Millisecond) }

func compare(b *testing.B, pace time.Duration) {
	b.Helper()

	upstream := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		serves(1, writer, request)
	}))
	defer upstream.Close()

	target, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}

	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	reverse := httptest.NewServer(proxy)

	defer reverse.Close()

	service, err := ambassador.New(ambassador.Config{Providers: []ambassador.ProviderConfig{
		{Name: "one", BaseURL: upstream.URL + "/v1", APIKeys: []string{"key"}, DefaultModel: "m"},
	}})
	if err != nil {
		b.Fatal(err)
	}

	defer service.Close()

	own := httptest.NewServer(service.Handler())
	defer own.Close()

	pad := strings.Repeat("All work and no play. ", 450)

	for _, kind := range []struct{ name, body string }{
		{"whole", `{"model":"default","messages":[{"role":"user","content":"` + pad + `"}]}`},
		{"stream", `{"model":"default","messages":[{"role":"user","content":"` + pad + `"}],"stream":true}`},
	} {
		for _, way := range []struct{ name, url string }{
			{"direct", upstream.URL}, {"reverseproxy", reverse.URL}, {"ambassador", own.URL},
		} {
			b.Run(kind.name+"/"+way.name, func(b *testing.B) {
				measure(b, way.url+"/v1/chat/completions", kind.body, kind.name == "stream", pace)
			})
		}
	}
}

const clients = 16

func measure(b *testing.B, url, body string, stream bool, pace time.Duration) {
	b.Helper()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	defer client.CloseIdleConnections()

	first := make([]time.Duration, b.N)
	work := make(chan int)

	var done sync.WaitGroup
	for range clients {
		done.Go(func() {
			for at := range work {
				first[at] = ask(b, client, url, body, stream)
			}
		})
	}

	used := cpuTime()

	b.ResetTimer()

	for at, next := 0, time.Now(); at < b.N; at, next = at+1, next.Add(pace) {
		time.Sleep(time.Until(next)) // the pace of the load, not a wait for anything

		work <- at
	}

	close(work)
	done.Wait()
	b.StopTimer()

	slices.Sort(first)
	b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(first[len(first)/2].Microseconds()), "first-p50-us")
	b.ReportMetric(float64(first[len(first)*99/100].Microseconds()), "first-p99-us")
}

// ask returns the time to the answer's first byte.
func ask(b *testing.B, client *http.Client, url, body string, stream bool) time.Duration {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		b.Error(err)

		return 0
	}

	if stream {
		request.Header.Set("Accept", "text/event-stream")
	}

	began := time.Now()

	response, err := client.Do(request)
	if err != nil {
		b.Error(err)

		return 0
	}
	defer response.Body.Close()

	byte1 := make([]byte, 1)
	_, _ = io.ReadFull(response.Body, byte1)
	took := time.Since(began)
	_, _ = io.Copy(io.Discard, response.Body)

	return took
}

func cpuTime() time.Duration {
	usage := syscall.Rusage{}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)

	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
