package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// way is how connections are told apart.
type way struct {
	via    orders.Via
	target string
}

// call makes calls.
func (w *workload) call(ctx context.Context, ordered orders.Calls) ([]orders.Answer, error) {
	connection, err := w.connection(ordered)
	if err != nil {
		return nil, err
	}

	answers := make([]orders.Answer, max(1, ordered.Count))

	var group errgroup.Group
	group.SetLimit(max(1, ordered.Parallel))

	for i := range answers {
		group.Go(func() error {
			answers[i] = callOnce(ctx, connection, ordered)

			return nil
		})
	}

	_ = group.Wait() // each answer has its own error

	return answers, nil
}

func callOnce(ctx context.Context, connection *grpc.ClientConn, ordered orders.Calls) orders.Answer {
	timeout, method := ordered.Timeout, ordered.Method
	if timeout == 0 {
		timeout = 10 * time.Second
	}

	if method == "" {
		method = "Call"
	}

	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, metadata.New(ordered.Headers)), timeout)
	defer cancel()

	var said wrapperspb.StringValue

	began := time.Now()
	err := connection.Invoke(ctx, "/conform.Echo/"+method, wrapperspb.String(""), &said)
	answer := orders.Answer{Code: status.Code(err).String(), Message: status.Convert(err).Message(), Took: time.Since(began)}

	if err == nil {
		if err := json.Unmarshal([]byte(said.GetValue()), &answer.Said); err != nil {
			answer.Code, answer.Message = "Unreadable", err.Error()
		}
	}

	return answer
}

// connection keeps one for each way and target.
func (w *workload) connection(ordered orders.Calls) (*grpc.ClientConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	key := way{ordered.Via, ordered.Target}
	if known := w.connections[key]; known != nil {
		return known, nil
	}

	secured, err := w.credentials(ordered.Via)
	if err != nil {
		return nil, err
	}

	made, err := grpc.NewClient(ordered.Target, grpc.WithTransportCredentials(secured))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", ordered.Target, err)
	}

	w.connections[key] = made

	return made, nil
}

func (w *workload) credentials(via orders.Via) (credentials.TransportCredentials, error) {
	switch via {
	case orders.Mesh:
		return xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	case orders.TLS:
		server := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "conform", Name: "echo"}

		return credentials.NewTLS(w.own.ClientTLS(server)), nil
	case orders.Plain:
		return insecure.NewCredentials(), nil
	default:
		return nil, fmt.Errorf("via %q: want %s, %s or %s", via, orders.Mesh, orders.TLS, orders.Plain)
	}
}
