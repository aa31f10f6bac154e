package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// grpcPort is where every service speaks gRPC; the gateway's users come in plain, at usersPort.
const (
	grpcPort  = 9000
	usersPort = 8080
)

// stranger is a service account of the namespace that nobody has heard of.
const stranger = "stranger"

// service is one of those that speak gRPC, with a method that it is there for, and who may call that.
type service struct {
	name, method string
	// inMesh are those whom Istio's policy lets in. Refused are those of them that the service then refuses itself.
	inMesh, refused []string
}

func services() []service {
	handoff := handoffv1.HandoffService_Handoff_FullMethodName

	return []service{
		{name: "triage", method: handoff, inMesh: []string{rpc.Gateway}},
		{name: "billing", method: handoff, inMesh: []string{rpc.Gateway, "triage"}},
		{name: "scheduling", method: handoff, inMesh: []string{rpc.Gateway, "triage", "billing"}},
		{
			name: rpc.Context, method: contextv1.ContextService_GetConversation_FullMethodName,
			inMesh:  []string{"triage", "billing", "scheduling", rpc.Gateway, rpc.Tools, rpc.Controller, rpc.Operator},
			refused: []string{rpc.Tools, rpc.Controller},
		},
		{
			name: rpc.Tools, method: toolsv1.ToolExecuteService_ListTools_FullMethodName,
			inMesh:  []string{"triage", "billing", "scheduling", rpc.Operator},
			refused: []string{rpc.Operator},
		},
		{
			name: rpc.Controller, method: rolloutv1.RolloutService_ListRollouts_FullMethodName,
			inMesh: []string{rpc.Gateway, rpc.Operator},
		},
	}
}

func callers() []string {
	return []string{"triage", "billing", "scheduling", stranger, rpc.Gateway, rpc.Context, rpc.Tools, rpc.Controller, rpc.Operator}
}

// TestTheWireIsEncrypted has a conversation pass from agent to agent and use a tool, and looks at every byte between the
// pods meanwhile.
func TestTheWireIsEncrypted(t *testing.T) {
	p := serin(t)
	as := credentials(t, install.Namespace, rpc.Operator)
	seen := listen(t)

	const text = "I was charged twice for March, then find me an appointment with customer success."

	conversation, err := p.gateway.Begin(t.Context())
	p.must(err)

	turn, err := p.gateway.Say(t.Context(), conversation, text)
	p.must(err)

	if turn.GetState() == conversationv1.TurnState_TURN_STATE_FAILED {
		t.Errorf("the turn ended as %v", turn)
	}

	p.rollout("billing") // the gateway asks the controller

	for _, one := range services() { // and connections that are new show their handshakes
		p.must(healthy(t.Context(), dialPod(t, as, p.podOf(one.name))))
	}

	seen.stop(t)
	p.encrypted(seen)

	plain := seen.holding(text)
	if len(plain) == 0 {
		t.Error("the user's message was not seen where it goes in plain: nothing was tested")
	}

	for _, key := range plain {
		if !key.has(usersPort) {
			t.Errorf("%s carries the user's message in plain", key)
		}
	}
}

// encrypted wants TLS, and enough of it, at every service.
func (p *platform) encrypted(seen *capture) {
	p.Helper()

	bytes := map[netip.Addr]int{}

	for key, flow := range seen.flows {
		if !key.has(grpcPort) {
			continue
		}

		if err := flow.encrypted(); err != nil {
			p.Errorf("%s: %v", key, err)
		}

		bytes[key.from.Addr()] += len(flow.bytes)
		bytes[key.to.Addr()] += len(flow.bytes)
	}

	for _, one := range services() {
		sum := 0
		for _, pod := range p.podsAt(one.name) {
			sum += bytes[netip.MustParseAddr(pod.Status.PodIP)]
		}

		const handshake = 2000 // is more than that
		if sum < handshake {
			p.Errorf("only %d bytes from and to %s were seen", sum, one.name)
		}

		figures.add("wire", one.name+": bytes seen, all TLS", fmt.Sprint(sum))
	}
}

// podsAt are the pods of an app that have an address.
func (p *platform) podsAt(app string) []corev1.Pod {
	p.Helper()

	list := &corev1.PodList{}
	p.must(shared.Client.List(p.Context(), list, client.InNamespace(install.Namespace), client.MatchingLabels{"app": app}))

	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.Status.PodIP == "" })
}

// TestWhoMaySpeak calls every service under every identity.
func TestWhoMaySpeak(t *testing.T) {
	p := serin(t)
	p.forget(install.Namespace, stranger)

	connections := map[string]rpc.Credentials{}
	for _, caller := range callers() {
		connections[caller] = credentials(t, install.Namespace, caller)
	}

	for _, one := range services() {
		pod := p.serving(one.name)

		for _, caller := range callers() {
			t.Run(caller+" to "+one.name, func(t *testing.T) {
				err := call(t, dialPod(t, connections[caller], pod), one.method)

				switch byMesh, byService := refusal(err); {
				case !slices.Contains(one.inMesh, caller):
					if !byMesh {
						t.Errorf("Istio's policy must refuse %s: %v", one.method, err)
					}
				case slices.Contains(one.refused, caller):
					if !byService {
						t.Errorf("the service must refuse %s: %v", one.method, err)
					}
				case byMesh || byService || !arrived(err):
					t.Errorf("%s must be allowed: %v", one.method, err)
				}
			})
		}
	}
}

// serving is a pod of a service that answers: of controllers only the one that leads does.
func (p *platform) serving(name string) *corev1.Pod {
	p.Helper()

	if name == rpc.Controller {
		pod, _ := p.leader()

		return pod
	}

	return p.podOf(name)
}

// TestStrangersAreRefused comes to every service with nothing, with an identity of elsewhere, and with one that is made
// up; and last, since else nothing is shown, as someone who may.
func TestStrangersAreRefused(t *testing.T) {
	p := serin(t)

	const elsewhere = "elsewhere"

	p.must(shared.Namespace(t.Context(), elsewhere, nil))
	p.forget(install.Namespace, stranger)
	p.eventually("istiod has given its root to "+elsewhere, func(ctx context.Context) error {
		_, err := shared.Kubernetes.CoreV1().ConfigMaps(elsewhere).Get(ctx, "istio-ca-root-cert", metav1.GetOptions{})

		return err
	})
	t.Cleanup(func() {
		_ = shared.Kubernetes.CoreV1().Namespaces().Delete(context.Background(), elsewhere, metav1.DeleteOptions{})
	})

	foreign := credentials(t, elsewhere, "billing")
	operator := credentials(t, install.Namespace, rpc.Operator)
	made := rpctest.NewCA(t).Credentials(t, rpc.Identity{
		TrustDomain: rpc.DefaultTrustDomain, Namespace: install.Namespace, Name: rpc.Gateway,
	}.String())
	made.Bundle = operator.Bundle // it takes the server for what it is

	for _, one := range services() {
		pod := p.podOf(one.name)

		t.Run("plaintext to "+one.name, func(t *testing.T) {
			connection, err := grpc.NewClient(pod.Status.PodIP+":9000", grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()

			wantNoConnection(t, connection)
		})
		t.Run("an unknown authority's to "+one.name, func(t *testing.T) {
			wantNoConnection(t, dialPod(t, made, pod))
		})
		t.Run("another namespace's to "+one.name, func(t *testing.T) {
			connection := dialPod(t, foreign, pod)

			for what, err := range map[string]error{"health": healthy(t.Context(), connection), one.method: call(t, connection, one.method)} {
				if byMesh, _ := refusal(err); !byMesh {
					t.Errorf("%s must be refused by Istio's policy: %v", what, err)
				}
			}
		})
		t.Run("an operator's to "+one.name, func(t *testing.T) {
			if err := healthy(t.Context(), dialPod(t, operator, pod)); err != nil {
				t.Error(err)
			}
		})
	}
}

// wantNoConnection wants that no call gets as far as to be answered. What the client hears of it depends on whether it still
// writes when the server hangs up.
func wantNoConnection(t *testing.T, connection *grpc.ClientConn) {
	t.Helper()

	if err := healthy(t.Context(), connection); status.Code(err) != codes.Unavailable {
		t.Errorf("want UNAVAILABLE, got %v", err)
	}
}

// healthy asks for the server's health, and does not wait for it to become reachable.
func healthy(ctx context.Context, connection *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	_, err := grpc_health_v1.NewHealthClient(connection).
		Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(false))

	return err
}

// call calls a method with an empty message, which most of them then find fault with.
func call(t *testing.T, connection *grpc.ClientConn, method string) error {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	return connection.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
}

// refusal says who refused a call. What Istio's policy refuses never comes to Serin's own code, which would have given its
// reason in the details.
func refusal(err error) (byMesh, byService bool) {
	got := status.Convert(err)
	if got.Code() != codes.PermissionDenied {
		return false, false
	}

	reason := fault.From(err).Reason

	return reason == "" && strings.Contains(got.Message(), "did not match an allow policy"), reason == "METHOD_NOT_ALLOWED"
}

// arrived reports whether the service looked at the call: it answered, or found fault with the empty message.
func arrived(err error) bool {
	code := status.Code(err)

	return code == codes.OK || code == codes.InvalidArgument
}

// forget deletes a service account once the test is over.
func (p *platform) forget(namespace, account string) {
	p.Cleanup(func() {
		_ = shared.Kubernetes.CoreV1().ServiceAccounts(namespace).Delete(context.Background(), account, metav1.DeleteOptions{})
	})
}
