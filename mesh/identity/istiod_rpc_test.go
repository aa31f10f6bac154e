package identity_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// member is a workload whose certificate istiod keeps fresh; it lives for some seconds.
func (c *cluster) member(t *testing.T, short string) rpc.Credentials {
	t.Helper()

	token := "token of " + short
	c.Allow(token, name(short).String())
	c.WriteFiles(token, c.file(short+".token"), c.file("root-cert.pem"))

	config := c.config()
	config.Identity, config.TokenFile, config.Directory = name(short), c.file(short+".token"), c.file(short)

	kept, _ := run(t, config)
	issued(t, kept)

	source, err := identity.Watch(t.Context(), config.Directory, identity.WithPoll(0))
	if err != nil {
		t.Fatal(err)
	}

	return rpc.Credentials{SVID: source, Bundle: source}
}

// TestRotationByIstiodKeepsStreams has one stream live through several certificates of both sides.
func TestRotationByIstiodKeepsStreams(t *testing.T) {
	c := newCluster(t)
	c.SetValidity(-time.Minute, 2*time.Second)
	c.Start()

	h := &house{dir: c.dir, server: name(rpc.Context)}
	client := c.member(t, "billing")
	server, address := serve(t, c.member(t, rpc.Context))
	h.addr = address

	connection := h.dial(t, client)
	first := serial(t, connection)

	stream, err := grpc_health_v1.NewHealthClient(connection).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "later"})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}

	eventually(t, func() error {
		if c.Issued(name("billing").String()) < 4 || c.Issued(name(rpc.Context).String()) < 4 {
			return errors.New("not rotated three times")
		}

		return nil
	})

	if serial(t, h.dial(t, client)) == first {
		t.Error("a new connection got the first certificate")
	}

	// The stream works still, on the connection that it began on.
	server.Health.SetServingStatus("later", grpc_health_v1.HealthCheckResponse_SERVING)

	update, err := stream.Recv()
	if err != nil || update.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("the stream: %v, %v", update, err)
	}

	if serial(t, connection) != first {
		t.Error("the connection was made anew")
	}
}
