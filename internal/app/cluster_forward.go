package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forwarding is a port of this machine that leads to one of a pod, by way of the API server. Close it.
type forwarding struct {
	address string
	stop    chan struct{}
	ended   chan error
}

// forward opens the way to a pod's port: over websockets, or over SPDY where something on the way knows no websockets.
func forward(ctx context.Context, config *rest.Config, client kubernetes.Interface, namespace, pod string, port uint16) (*forwarding, error) {
	dialer, err := newForwardDialer(config, client, namespace, pod)
	if err != nil {
		return nil, err
	}

	f := &forwarding{stop: make(chan struct{}), ended: make(chan error, 1)}
	ready := make(chan struct{})

	forwarder, err := portforward.NewOnAddressesForStreaming(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, f.stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, err)
	}

	go func() { f.ended <- forwarder.ForwardPorts() }()

	select {
	case <-ready:
	case err := <-f.ended:
		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, errors.Join(dialer.failed, err))
	case <-ctx.Done():
		close(f.stop) // what is being dialled ends by itself

		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, ctx.Err())
	}

	ports, err := forwarder.GetPorts()
	if err != nil {
		f.close()

		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, err)
	}

	f.address = fmt.Sprintf("127.0.0.1:%d", ports[0].Local)

	return f, nil
}

func (f *forwarding) close() {
	close(f.stop)
	<-f.ended //nolint:errcheck // whoever closes it wants no more of it
}

// forwardDialer keeps the error that it failed with: the forwarder keeps only its text.
type forwardDialer struct {
	httpstream.Dialer

	failed error
}

// Dial opens the connection that ports are forwarded over.
func (d *forwardDialer) Dial(protocols ...string) (httpstream.Connection, string, error) {
	connection, protocol, err := d.Dialer.Dial(protocols...)
	d.failed = err

	return connection, protocol, err //nolint:wrapcheck // forward does
}

func newForwardDialer(config *rest.Config, client kubernetes.Interface, namespace, pod string) (*forwardDialer, error) {
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()

	websockets, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
	if err != nil {
		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, err)
	}

	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, err)
	}

	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)

	return &forwardDialer{Dialer: portforward.NewFallbackDialerForStreaming(websockets, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})}, nil
}
