package app

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/agent"
	"github.com/serinhq/serin/services/retriever"
)

// retrieverVariable tells an agent's process in a pod where its retriever is.
const retrieverVariable = "CONTEXT_SERVICE_URL"

// retrieverSettings are what a retriever is told.
type retrieverSettings struct {
	// File is a resolved agent that declares documents, and Revision the digest that it must have.
	File     string `json:"file"`
	Revision string `json:"revision"`
	// Index is the file that the index is kept in.
	Index string `json:"index"`
	// Folder is where the folders are that the agent declares, and ConfigMaps where each ConfigMap is mounted by its name.
	Folder     string `json:"folder,omitempty"`
	ConfigMaps string `json:"configMaps,omitempty"`
}

func (w *workload) retrieverRoom(ctx context.Context) (*room, error) {
	settings := w.config.Retriever

	spec, err := agentspec.LoadResolved(settings.File, settings.Revision)
	if err != nil {
		return nil, err
	}

	if spec.Spec.Retriever == nil {
		return nil, usageErrorf("%s: spec.retriever: the agent declares no documents", settings.File)
	}

	config := settings.config(spec.Spec.Retriever)
	config.Telemetry = w.telemetry
	config.Embeddings.BaseURL, config.Embeddings.HTTPClient = w.llmURL(), w.llmClient()

	service, err := retriever.New(ctx, config)
	if err != nil {
		return nil, err
	}

	listener, err := w.config.listener("retriever")
	if err != nil {
		return nil, err
	}

	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(w.config.plane() != planeEmbedded)

	server := &http.Server{
		Handler: service.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, Protocols: protocols,
	}

	return &room{
		checks: service.Checks(),
		tasks:  []drain.Task{{Name: "documents", Run: service.Run}},
		serves: []serving{serverServing("retriever", server, w.secureRetriever(listener))},
		close:  service.Close,
	}, nil
}

// config says where the documents are.
func (s *retrieverSettings) config(declared *agentspec.Retriever) retriever.Config {
	config := retriever.Config{Index: s.Index, Embeddings: retriever.Embeddings{Model: declared.Model}}

	for _, place := range declared.Documents {
		switch {
		case place.URL != "":
			config.Pages = append(config.Pages, retriever.Page{URL: place.URL, AllowPrivate: place.AllowPrivate})
		case place.ConfigMap != "":
			config.Folders = append(config.Folders, retriever.Folder{
				Name: place.ConfigMap, Path: filepath.Join(s.ConfigMaps, place.ConfigMap),
			})
		default:
			config.Folders = append(config.Folders, retriever.Folder{
				Name: place.Folder, Path: filepath.Join(s.Folder, filepath.FromSlash(place.Folder)),
			})
		}
	}

	return config
}

// secureRetriever lets the agent itself in alone; in a pod, where nobody else reaches the address, that is plain.
func (w *workload) secureRetriever(listener net.Listener) net.Listener {
	if w.config.plane() != planeEmbedded {
		return listener
	}

	security := w.credentials.ServerTLS(rpc.Names(w.config.Name))
	security.NextProtos = []string{"h2", "http/1.1"}

	return tls.NewListener(listener, security)
}

// retriever is the agent's client of its retriever; nil if it has none.
func (w *workload) retriever() (agent.Retriever, error) {
	target, secured := w.config.Agent.Retriever, (*tls.Config)(nil)

	if w.config.plane() == planeEmbedded {
		if target == "" {
			return nil, nil //nolint:nilnil // an agent without documents
		}

		secured = w.credentials.ClientTLS(w.config.identity(w.config.Name))
	} else {
		told := w.env.get(retrieverVariable)
		if told == "" {
			return nil, nil //nolint:nilnil // as above
		}

		parsed, err := url.Parse(told)
		if err != nil || parsed.Scheme != plainHTTP || parsed.Port() == "" || !isOwnPod(parsed.Host) {
			return nil, usageErrorf("%s %q: must be the URL of the pod's own retriever, such as http://127.0.0.1:9090", retrieverVariable, told)
		}

		target = parsed.Host
	}

	conn, err := rpc.DialPod(target, secured, w.telemetry)
	if err != nil {
		return nil, err
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	w.conns[retrieverVariable] = conn // to be closed with the others

	return retrieverv1.NewRetrieverServiceClient(conn), nil
}

func (c *workloadConfig) checkRetriever(problems *problems) {
	if c.plane() != planeNone {
		problems.add("dataPlane.mode", "%q: must be none for a retriever, which serves its own pod alone", c.plane())
	}

	if address := c.Listen["retriever"]; !isOwnPod(address) {
		problems.add("listen.retriever",
			"%q: must be a loopback address, such as 127.0.0.1:9090: it is plain, and nobody is asked who they are", address)
	}

	settings := c.Retriever
	if settings == nil {
		settings = &retrieverSettings{}
	}

	if settings.File == "" || settings.Revision == "" {
		problems.add("retriever", "must have file, the resolved agent, and revision, the digest that it must have")
	}

	if settings.Index == "" {
		problems.add("retriever.index", `"": must be the path of a file on a volume of the pod`)
	}
}
