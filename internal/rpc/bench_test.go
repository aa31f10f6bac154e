package rpc_test

import (
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/internal/telemetry"
)

// BenchmarkUnary compares a call between our client and our server with one of bare grpc-go under the same TLS.
func BenchmarkUnary(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmarkUnary(b, bareConnection(b)) })
	b.Run("serin", func(b *testing.B) {
		told, err := telemetry.New(telemetry.Options{Writer: io.Discard})
		if err != nil {
			b.Fatal(err)
		}

		rig := rpctest.StartConfig(b, rpc.Context, rpc.ServerConfig{Policy: policy(), Telemetry: told}, register(&store{}))

		connection, err := rpc.Dial(rig.Addr, rig.Identity,
			rpc.ClientConfig{Credentials: rig.CA.Credentials(b, "billing"), Telemetry: told})
		if err != nil {
			b.Fatal(err)
		}
		defer connection.Close()

		benchmarkUnary(b, connection)
	})
}

func bareConnection(b *testing.B) *grpc.ClientConn {
	b.Helper()

	ca := rpctest.NewCA(b)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(ca.Credentials(b, rpc.Context).ServerTLS(nil))))
	register(&store{})(server)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}

	go server.Serve(listener)

	tls := ca.Credentials(b, "billing").ClientTLS(rpctest.Identity(b, rpc.Context))

	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(func() {
		_ = connection.Close()
		server.Stop()
	})

	return connection
}

func benchmarkUnary(b *testing.B, connection *grpc.ClientConn) {
	b.Helper()
	b.ReportAllocs()

	client := contextv1.NewContextServiceClient(connection)
	request := &contextv1.PutStateRequest{Scope: "c1", Key: "k", Value: make([]byte, 512)}

	for b.Loop() {
		if _, err := client.PutState(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}
