package e2e_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	grpcxds "google.golang.org/grpc/xds"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/identity"
)

// probe asks triage who it is, through the mesh, as the gateway does.
type probe struct {
	*platform

	client handoffv1.HandoffServiceClient
}

func (p *platform) probe() *probe {
	p.Helper()

	bootstrap, err := identity.Bootstrap{
		ServerURI: istiodAddress, Directory: certificates(p.T, install.Namespace, rpc.Gateway), NodeIP: cluster.NodeIP, Workload: "probe",
		Identity: rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: install.Namespace, Name: rpc.Gateway},
	}.JSON()
	p.must(err)

	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(bootstrap)
	p.must(err)

	secured, err := xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	p.must(err)

	conn, err := grpc.NewClient(rpc.Target(install.Namespace, "triage"), grpc.WithTransportCredentials(secured), grpc.WithResolvers(resolver))
	p.must(err)
	p.Cleanup(func() { _ = conn.Close() })

	return &probe{p, handoffv1.NewHandoffServiceClient(conn)}
}

// until calls until the revision answers, and returns when it did.
func (p *probe) until(revision string) time.Time {
	p.Helper()

	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()

	for p.meets(ctx, revision, true) != nil {
		p.must(ctx.Err())
	}

	return time.Now()
}

// meets makes a call, which must be answered by the revision, or by another.
func (p *probe) meets(ctx context.Context, revision string, want bool) error {
	answer, err := p.client.Describe(ctx, &handoffv1.DescribeRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}

	if got := answer.GetRevision(); (got[:min(12, len(got))] == revision) != want {
		return fmt.Errorf("%s answered", got)
	}

	return nil
}
