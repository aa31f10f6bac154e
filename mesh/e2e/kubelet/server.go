package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// serve serves the part of a kubelet's API that kubectl logs, exec and port-forward need, to the API server alone.
func (k *Kubelet) serve(ctx context.Context) error {
	config, err := k.serverTLS()
	if err != nil {
		return err
	}

	listen := net.ListenConfig{}

	listener, err := listen.Listen(ctx, "tcp", net.JoinHostPort(k.options.NodeIP, strconv.Itoa(Port)))
	if err != nil {
		return fmt.Errorf("listen for the kubelet's API: %w", err)
	}

	server := &http.Server{
		Handler: k.authenticated(k.routes()), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return k.ctx },
	}

	k.tasks.Go(func() { _ = server.Serve(tls.NewListener(listener, config)) }) // it ends with the kubelet
	k.closers = append(k.closers, func() { _ = server.Close() })

	return nil
}

func (k *Kubelet) serverTLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(k.options.CertFile, k.options.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the kubelet's certificate: %w", err)
	}

	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: k.options.ClientCA,
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, // streams upgrade the connection
	}, nil
}

// authenticated lets the API server in: other clients have certificates of the same authority.
func (k *Kubelet) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.PeerCertificates[0].Subject.CommonName != k.options.ClientName {
			http.Error(w, "only the API server may ask the kubelet", http.StatusForbidden)

			return
		}

		next.ServeHTTP(w, r)
	})
}

func (k *Kubelet) routes() http.Handler {
	mux := http.NewServeMux()

	for _, method := range []string{http.MethodGet, http.MethodPost} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", k.serveExec)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", k.servePortForward)
	}

	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })

	return mux
}

func (k *Kubelet) serveExec(w http.ResponseWriter, r *http.Request) {
	container, err := k.container(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)

		return
	}

	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}

	remotecommand.ServeExec(w, r, &executor{container}, "", "", container.spec.Name, r.URL.Query()["command"], options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (k *Kubelet) servePortForward(w http.ResponseWriter, r *http.Request) {
	pod, err := k.find(r.PathValue("namespace"), r.PathValue("pod"))
	if err == nil && pod.network() == nil {
		err = errors.New("the Pod has no network yet")
	}

	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)

		return
	}

	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}

	portforward.ServePortForward(w, r, &forwarder{pod}, pod.name, string(pod.uid), options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

// idleTimeout is how long a stream may be silent.
const idleTimeout = 4 * time.Hour
