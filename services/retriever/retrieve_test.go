package retriever_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/services/retriever"
)

// TestOnePortServesBoth HTTP and gRPC, with the same answers, whose places are those in the document.
func TestOnePortServesBoth(t *testing.T) {
	folder := t.TempDir()
	text := "# Refunds\n\n## Deadlines\n\nWithin 90 days.\n\n## Cash\n\nAt the desk.\n"
	write(t, folder, "refunds.md", text)

	r := start(t, base(t, folder))
	r.ready()

	found := r.ask(&retrieverv1.RetrieveRequest{Query: "What is the deadline of refunds?", Limit: 1})
	if len(found.GetPassages()) != 1 || found.GetMode() != retrieverv1.Mode_MODE_TEXT || found.GetDegraded() != "" {
		t.Fatalf("found %v", found)
	}

	one := found.GetPassages()[0]
	source := one.GetSource()

	if text[source.GetStart():source.GetEnd()] != one.GetText() || source.GetDocument() != "docs/refunds.md" ||
		source.GetTitle() != "Refunds" || strings.Join(source.GetHeadings(), " > ") != "Refunds > Deadlines" ||
		one.TextScore == nil || one.VectorScore != nil {
		t.Errorf("found %v", one)
	}

	status, body := r.post(`{"query":"What is the deadline of refunds?","limit":1}`)

	over := &retrieverv1.RetrieveResponse{}
	if err := protojson.Unmarshal(body, over); err != nil || status != http.StatusOK || over.GetPassages()[0].GetText() != one.GetText() {
		t.Errorf("over HTTP: %d %s, %v", status, body, err)
	}

	answer, err := grpc_health_v1.NewHealthClient(r.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", answer, err)
	}
}

func (r *rig) post(body string) (int, []byte) {
	r.t.Helper()

	response, err := http.Post(r.url+"/v1/retrieve", "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()

	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}

	return response.StatusCode, data
}

func TestBadRequestsNameTheField(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))

	r := start(t, base(t, folder))
	r.ready()

	for body, want := range map[string]string{
		`{}`: "query", `{"query":"x","limit":51}`: "limit", `{"query":"x","limit":-1}`: "limit", `{"query":"x","color":1}`: "color",
		`{"query":`: "", `{"query":"x","maxBytes":2000000}`: "max_bytes", `{"query":"x","mode":9}`: "mode",
	} {
		status, data := r.post(body)

		var said struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
		}

		if err := json.Unmarshal(data, &said); err != nil || status != http.StatusBadRequest || said.Error.Code != "InvalidArgument" ||
			!bytes.Contains(data, []byte(want)) {
			t.Errorf("%s: %d %s", body, status, data)
		}
	}

	_, err := r.client.Retrieve(t.Context(), &retrieverv1.RetrieveRequest{Limit: 51})
	if inner := fault.From(err); inner.Code != codes.InvalidArgument || len(inner.Violations) != 2 {
		t.Errorf("over gRPC: %v", err)
	}

	if status, _ := r.post(`{"query":"` + strings.Repeat("x", 300_000) + `"}`); status != http.StatusBadRequest {
		t.Errorf("a large body: %d", status)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", strings.Repeat("# apple\n\n"+strings.Repeat("apples are red ", 40)+"\n\n", 10))

	r := start(t, base(t, folder))
	r.ready()

	if got := len(r.ask(&retrieverv1.RetrieveRequest{Query: "apple"}).GetPassages()); got != 5 {
		t.Errorf("%d passages by default", got)
	}

	if got := len(r.ask(&retrieverv1.RetrieveRequest{Query: "apple", Limit: 50, MaxBytes: 1300}).GetPassages()); got != 2 {
		t.Errorf("%d passages in 1300 bytes", got)
	}

	if got := len(r.ask(&retrieverv1.RetrieveRequest{Query: "apple", MaxBytes: 1}).GetPassages()); got != 1 {
		t.Errorf("%d passages in one byte", got)
	}

	if got := r.ask(&retrieverv1.RetrieveRequest{Query: "?!"}).GetPassages(); len(got) != 0 {
		t.Errorf("a query without words finds %v", got)
	}
}

// TestEmbeddingsThatFail leave words, the answers say so, and vectors are made once the endpoint is back.
func TestEmbeddingsThatFail(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))

	server := newNgramServer(t)
	server.status.Store(http.StatusServiceUnavailable)

	config := base(t, folder)
	config.Embeddings = embeddings(server)

	r := start(t, config)
	r.eventually("the first look", func() bool { return r.list() != nil })
	r.eventually("the trouble", func() bool { return strings.Contains(r.list().GetEmbeddings(), "503") })

	found := r.ask(&retrieverv1.RetrieveRequest{Query: "apples"})
	if found.GetMode() != retrieverv1.Mode_MODE_TEXT || len(found.GetPassages()) != 1 ||
		!strings.Contains(found.GetDegraded(), "words alone") {
		t.Errorf("found %v", found)
	}

	_, err := r.client.Retrieve(t.Context(), &retrieverv1.RetrieveRequest{Query: "apples", Mode: retrieverv1.Mode_MODE_VECTOR})
	if !fault.Is(err, "EMBEDDINGS_UNAVAILABLE") {
		t.Errorf("by vectors alone: %v", err)
	}

	ready := ready(t, r.service)
	if ready.Status != "degraded" || !strings.Contains(ready.text, "503") {
		t.Errorf("ready %s", ready.text)
	}

	server.status.Store(0)
	r.ready()
	r.eventually("vectors", func() bool {
		return r.ask(&retrieverv1.RetrieveRequest{Query: "apple"}).GetMode() == retrieverv1.Mode_MODE_HYBRID
	})

	// A query whose vector hangs is answered by words within the caller's deadline.
	server.hang.Store(true)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()

	found, err = r.client.Retrieve(ctx, &retrieverv1.RetrieveRequest{Query: "red apples"})
	if err != nil || found.GetMode() != retrieverv1.Mode_MODE_TEXT {
		t.Errorf("found %v, %v", found, err)
	}

	server.hang.Store(false)
}

type readiness struct {
	Status string `json:"status"`

	text string
}

func ready(t *testing.T, service *retriever.Service) readiness {
	t.Helper()

	checker := health.New(service.Checks()...)
	checker.MarkStarted()

	recorder := httptest.NewRecorder()
	checker.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/health/ready", nil))

	read := readiness{text: recorder.Body.String()}
	if err := json.Unmarshal(recorder.Body.Bytes(), &read); err != nil {
		t.Fatal(err)
	}

	return read
}

// TestOneTextThatIsRefused does not keep the others from their vectors.
func TestOneTextThatIsRefused(t *testing.T) {
	folder := t.TempDir()
	for _, word := range []string{"apples", "poison", "cherries", "dates", "elder"} {
		write(t, folder, word+".md", long(word))
	}

	server := newNgramServer(t)
	server.reject.Store("poison")

	config := base(t, folder)
	config.Embeddings = embeddings(server)

	r := start(t, config)
	r.eventually("the others", func() bool {
		list := r.list()
		return list != nil && list.GetWaiting() == 0 && server.texts.Load() == 4
	})

	found := r.ask(&retrieverv1.RetrieveRequest{Query: "cherry"})
	if found.GetMode() != retrieverv1.Mode_MODE_HYBRID || found.GetDegraded() != "" {
		t.Errorf("found %v", found)
	}
}

// TestRefusedTextsAreTriedAgain, since endpoints change their minds.
func TestRefusedTextsAreTriedAgain(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("poison"))

	server := newNgramServer(t)
	server.reject.Store("poison")

	config := base(t, folder)
	config.Embeddings = embeddings(server)
	config.Embeddings.Reconsider = 10 * time.Millisecond

	r := start(t, config)
	r.eventually("a refusal", func() bool { return server.refused.Load() > 0 })
	server.reject.Store("")
	write(t, folder, "b.md", long("bananas")) // what is new wakes whoever makes vectors
	r.eventually("all have vectors", func() bool { return server.texts.Load() == 2 })
}

func TestAnswersThatAreNoVectors(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))

	server := newNgramServer(t)
	server.embed = func(string) []float64 { return []float64{0, 0} }

	config := base(t, folder)
	config.Embeddings = embeddings(server)

	r := start(t, config)
	r.eventually("the first look", func() bool { return r.list() != nil })
	r.eventually("the trouble", func() bool { return strings.Contains(r.list().GetEmbeddings(), "length 0") })

	if found := r.ask(&retrieverv1.RetrieveRequest{Query: "apples"}); len(found.GetPassages()) != 1 {
		t.Errorf("found %v", found)
	}
}

func TestConfigsNameTheField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	here := []retriever.Folder{{Name: "docs", Path: t.TempDir()}}

	for want, config := range map[string]retriever.Config{
		"index": {Folders: here}, "folders": {Index: path},
		"folders[0].name":      {Index: path, Folders: []retriever.Folder{{Name: "../x", Path: "/x"}}},
		"folders[0].path":      {Index: path, Folders: []retriever.Folder{{Name: "x", Path: "x"}}},
		"folders[1].name":      {Index: path, Folders: append(here, here...)},
		"pages[0].url":         {Index: path, Pages: []retriever.Page{{URL: "file:///etc/passwd"}}},
		"embeddings.baseURL":   {Index: path, Folders: here, Embeddings: retriever.Embeddings{Model: "m"}},
		"limits.passageBytes":  {Index: path, Folders: here, Limits: retriever.Limits{PassageBytes: 10}},
		"limits.documentBytes": {Index: path, Folders: here, Limits: retriever.Limits{DocumentBytes: -1}},
	} {
		_, err := retriever.New(t.Context(), config)
		if inner := fault.From(err); err == nil || len(inner.Violations) != 1 || inner.Violations[0].Field != want {
			t.Errorf("%s: %v", want, err)
		}
	}

	if _, err := os.Stat(path); err == nil {
		t.Error("an index was made before the configuration was checked")
	}

	_, err := retriever.New(t.Context(), retriever.Config{Index: "/proc/none/index.db", Folders: here})
	if !fault.Is(err, "DATA_NOT_WRITABLE") {
		t.Errorf("a path that can't be written: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))
	write(t, folder, "b.pdf", "x")

	recorded, err := telemetry.New(telemetry.Options{Service: "retriever", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = recorded.Shutdown(context.Background()) })

	config := base(t, folder)
	config.Telemetry = recorded

	r := start(t, config)
	r.ready()
	r.names("apples")

	recorder := httptest.NewRecorder()
	recorded.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))

	for _, want := range []string{
		`serin_retriever_documents{`, `state="refused"} 1`, `serin_retriever_passages{`,
		`serin_retriever_query_duration_seconds_count{`, `ranking="text"`,
	} {
		if !strings.Contains(recorder.Body.String(), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
