package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc/xds/csds"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// orders is what the process can be told.
func (w *workload) orders() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(out http.ResponseWriter, _ *http.Request) {
		if w.unready.Load() {
			http.Error(out, "as it was told", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("PUT /ready", func(_ http.ResponseWriter, in *http.Request) {
		w.unready.Store(in.URL.Query().Get("value") == "false")
	})
	mux.HandleFunc("PUT /failing", func(out http.ResponseWriter, in *http.Request) {
		count, err := strconv.ParseInt(in.URL.Query().Get("calls"), 10, 64)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)

			return
		}

		w.failing.Store(count)
		w.calls.Store(0)
	})
	mux.HandleFunc("GET /calls", func(out http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(out, w.calls.Load()) // who asked may be gone
	})
	mux.HandleFunc("POST /calls", w.obeyCalls)
	mux.HandleFunc("GET /mesh", tellMesh)

	return mux
}

func (w *workload) obeyCalls(out http.ResponseWriter, in *http.Request) {
	var ordered orders.Calls
	if err := json.NewDecoder(in.Body).Decode(&ordered); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)

		return
	}

	answers, err := w.call(in.Context(), ordered)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)

		return
	}

	_ = json.NewEncoder(out).Encode(answers) // who asked may be gone
}

// tellMesh tells what grpc-go has of the mesh, and what it refused.
func tellMesh(out http.ResponseWriter, in *http.Request) {
	server, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)

		return
	}
	defer server.Close()

	status, err := server.FetchClientStatus(in.Context(), &statusv3.ClientStatusRequest{})
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)

		return
	}

	data, err := proto.Marshal(status)
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)

		return
	}

	_, _ = out.Write(data) // who asked may be gone
}
