package retriever_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/services/retriever"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a retriever that runs as in production, with its port on loopback.
type rig struct {
	t       *testing.T
	service *retriever.Service
	url     string
	client  retrieverv1.RetrieverServiceClient
	conn    *grpc.ClientConn
	stop    func()
}

// base is a configuration over a folder, with an index beside it.
func base(t *testing.T, folder string) retriever.Config {
	t.Helper()

	return retriever.Config{
		Index:   filepath.Join(t.TempDir(), "index.db"),
		Folders: []retriever.Folder{{Name: "docs", Path: folder}},
		Look:    10 * time.Millisecond, Settle: time.Nanosecond,
	}
}

func embeddings(server *ngramServer) retriever.Embeddings {
	return retriever.Embeddings{BaseURL: server.URL + "/v1", Model: "ngrams", Cooldown: 20 * time.Millisecond}
}

// start runs a retriever until the test ends, or until it is stopped.
func start(t *testing.T, config retriever.Config) *rig {
	t.Helper()

	if config.Telemetry == nil {
		config.Telemetry = telemetry.Discard()
	}

	service, err := retriever.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)

	server := &http.Server{Handler: service.Handler(), ReadHeaderTimeout: time.Second, Protocols: protocols}

	conn, err := rpc.DialPod(listener.Addr().String(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)

	go func() { ended <- service.Run(ctx) }()
	go func() {
		err := server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}

		ended <- err
	}()

	made := &rig{
		t: t, service: service, url: "http://" + listener.Addr().String(), conn: conn,
		client: retrieverv1.NewRetrieverServiceClient(conn),
	}
	stopped := false
	made.stop = func() {
		if stopped {
			return
		}

		stopped = true

		cancel()

		if err := errors.Join(conn.Close(), server.Close(), <-ended, <-ended, service.Close()); err != nil {
			t.Error(err)
		}

		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(made.stop)

	return made
}

// eventually waits until a condition holds.
func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()

	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not within 20 s; %v", what, r.list())
		}
	}
}

// list is what the retriever says of its documents; nil while it reads them for the first time.
func (r *rig) list() *retrieverv1.ListDocumentsResponse {
	r.t.Helper()

	list, err := r.client.ListDocuments(r.t.Context(), &retrieverv1.ListDocumentsRequest{})
	if err != nil {
		return nil
	}

	return list
}

// document is what the retriever says of one; nil if it does not know it.
func (r *rig) document(name string) *retrieverv1.Document {
	for _, one := range r.list().GetDocuments() {
		if one.GetDocument() == name {
			return one
		}
	}

	return nil
}

// ready waits until documents were read and all of them have vectors.
func (r *rig) ready() {
	r.t.Helper()
	r.eventually("ready", func() bool {
		list := r.list()

		return list != nil && list.GetWaiting() == 0
	})
}

func (r *rig) ask(request *retrieverv1.RetrieveRequest) *retrieverv1.RetrieveResponse {
	r.t.Helper()

	found, err := r.client.Retrieve(r.t.Context(), request)
	if err != nil {
		r.t.Fatal(err)
	}

	return found
}

// names are the documents that a query finds, best first.
func (r *rig) names(query string) []string {
	r.t.Helper()

	var names []string
	for _, one := range r.ask(&retrieverv1.RetrieveRequest{Query: query}).GetPassages() {
		names = append(names, one.GetSource().GetDocument())
	}

	return names
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()

	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
