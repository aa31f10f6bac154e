package app_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/mesh/identity"

	"google.golang.org/grpc/credentials"
)

// dialAs connects to a workload with the certificate of another one, taken from dir.
func (p *testPlatform) dialAs(dir, callee string) *grpc.ClientConn {
	p.t.Helper()

	return p.dialProcess(dir, p.address(callee), callee)
}

// dialProcess reaches the process at an address, which has the identity of a callee.
func (p *testPlatform) dialProcess(dir, address, callee string) *grpc.ClientConn {
	p.t.Helper()

	source, err := identity.Watch(p.t.Context(), dir)
	if err != nil {
		p.t.Fatal(err)
	}

	conn, err := rpc.Dial(address,
		rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: callee},
		rpc.ClientConfig{Credentials: rpc.Credentials{SVID: source, Bundle: source}})
	if err != nil {
		p.t.Fatal(err)
	}

	p.t.Cleanup(func() { _ = conn.Close() })

	return conn
}

func (p *testPlatform) certificates(name string) string {
	return filepath.Join(p.config.Data, "certs", name)
}

func (p *testPlatform) address(name string) string {
	p.t.Helper()

	address, ok := p.find(name)
	if !ok {
		p.t.Fatalf("no workload %s", name)
	}

	return address
}

// find is the address of a workload, if there is one.
func (p *testPlatform) find(name string) (address string, ok bool) {
	for _, workload := range p.platform.Summary().Workloads {
		if isProcess(workload.Name, name) {
			return workload.Address, true
		}
	}

	return "", false
}

func TestCallersAreRefusedByTheirIdentity(t *testing.T) {
	p := startPlatform(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	handoff := func(caller, from, callee string) error {
		stream, err := handoffv1.NewHandoffServiceClient(p.dialAs(p.certificates(caller), callee)).Handoff(ctx,
			&handoffv1.HandoffRequest{ConversationId: "c", TurnId: "t", FromAgent: from, ToAgent: callee})
		if err != nil {
			return err
		}

		_, err = stream.Recv()

		return err
	}

	for _, test := range []struct {
		name string
		call func() error
		want codes.Code
	}{
		{"scheduling does not list billing in its handoffs", func() error { return handoff("scheduling", "scheduling", "billing") }, codes.PermissionDenied},
		{"tools never hand off", func() error { return handoff(rpc.Tools, "", "billing") }, codes.PermissionDenied},
		{"triage does not act as the gateway", func() error { return handoff("triage", "", "billing") }, codes.PermissionDenied},
		{"triage lists billing, so only the turn is missing", func() error { return handoff("triage", "triage", "billing") }, codes.NotFound},
		{"the gateway may, so only the turn is missing", func() error { return handoff(rpc.Gateway, "", "billing") }, codes.NotFound},
		{"an agent may not claim calls", func() error {
			_, err := contextv1.NewContextServiceClient(p.dialAs(p.certificates("billing"), rpc.Context)).ClaimCall(ctx, &contextv1.ClaimCallRequest{})

			return err
		}, codes.PermissionDenied},
		{"an agent may not withdraw revisions", func() error {
			_, err := contextv1.NewContextServiceClient(p.dialAs(p.certificates("billing"), rpc.Context)).Withdraw(ctx, &contextv1.WithdrawRequest{})

			return err
		}, codes.PermissionDenied},
		{"triage has no tools", func() error {
			_, err := toolsv1.NewToolExecuteServiceClient(p.dialAs(p.certificates("triage"), rpc.Tools)).ListTools(ctx,
				&toolsv1.ListToolsRequest{Names: []string{"billing_refund"}})

			return err
		}, codes.PermissionDenied},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.call(); fault.CodeOf(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A certificate of another authority, even one with the gateway's own name in it, does not get as far as a call.
func TestForeignAuthorityIsRefused(t *testing.T) {
	p := startPlatform(t)
	dir := t.TempDir()

	foreign, err := identity.OpenCA(filepath.Join(dir, "ca"), identity.CAConfig{TrustDomain: rpc.DefaultTrustDomain})
	if err != nil {
		t.Fatal(err)
	}

	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: rpc.Gateway}
	if err := foreign.Issue(filepath.Join(dir, "stranger"), id.String()); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()

	client := contextv1.NewContextServiceClient(p.dialAs(filepath.Join(dir, "stranger"), rpc.Context))
	if _, err := client.ListConversations(ctx, &contextv1.ListConversationsRequest{}); err == nil {
		t.Error("a stranger was let in")
	}
}

// The gateway's gRPC door: what an outside Go client does, as README shows it.
func TestPublicGRPC(t *testing.T) {
	p := startPlatform(t)

	tls, err := credentials.NewClientTLSFromFile(filepath.Join(p.certificates("public"), "bundle.pem"), "localhost")
	if err != nil {
		t.Fatal(err)
	}

	conn, err := grpc.NewClient(p.platform.GRPC(), grpc.WithTransportCredentials(tls))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	client := conversationv1.NewConversationServiceClient(conn)

	created, err := client.CreateConversation(ctx, &conversationv1.CreateConversationRequest{Agent: "scheduling"})
	if err != nil {
		t.Fatal(err)
	}

	stream, err := client.StreamMessage(ctx, &conversationv1.StreamMessageRequest{
		ConversationId: created.GetConversation().GetConversationId(), Text: "Which slots are free on the calendar?",
	})
	if err != nil {
		t.Fatal(err)
	}

	var last *eventv1.Event

	for {
		response, err := stream.Recv()
		if err != nil {
			break
		}

		last = response.GetEvent()
	}

	if last.GetTurnCompleted() == nil {
		t.Errorf("the stream ended with %v", last)
	}
}

// grpcurl, which nobody here wrote, lists and calls: outside over TLS, inside over mTLS with the operator's certificate.
func TestGrpcurl(t *testing.T) {
	grpcurl := filepath.Join("..", "..", "bin", "grpcurl")
	testenv.RequireFile(t, "grpcurl", grpcurl, "run make bin/grpcurl")

	p := startPlatform(t)
	operator := p.certificates(rpc.Operator)

	run := func(arguments ...string) string {
		t.Helper()

		output, err := exec.CommandContext(t.Context(), grpcurl, arguments...).CombinedOutput()
		if err != nil {
			t.Errorf("grpcurl %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}

		return string(output)
	}

	outside := []string{"-cacert", filepath.Join(p.certificates("public"), "bundle.pem")}
	if got := run(append(outside, p.platform.GRPC(), "list")...); !strings.Contains(got, "serin.conversation.v1.ConversationService") {
		t.Errorf("outside list: %s", got)
	}

	if got := run(append(outside, "-d", "{}", p.platform.GRPC(), "serin.conversation.v1.ConversationService/CreateConversation")...); !strings.Contains(got, `"conversationId"`) {
		t.Errorf("outside call: %s", got)
	}

	// SPIFFE certificates name no host; grpcurl can't check a SPIFFE ID, so it is told not to check the name.
	inside := []string{"-insecure", "-cert", filepath.Join(operator, "svid.pem"), "-key", filepath.Join(operator, "key.pem")}
	if got := run(append(inside, p.address("billing"), "list")...); !strings.Contains(got, "serin.handoff.v1.HandoffService") {
		t.Errorf("inside list: %s", got)
	}

	if got := run(append(inside, p.address("billing"), "serin.handoff.v1.HandoffService/Describe")...); !strings.Contains(got, `"agent": "billing"`) {
		t.Errorf("inside call: %s", got)
	}
}
