package door_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller/door"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	namespace = "agents"
	pod       = "serin-controller-0"
	patience  = 20 * time.Second
)

// authority signs certificates of clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}

	return authority{certificate, key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

func (a authority) issue(t *testing.T, name string, usage x509.ExtKeyUsage, groups ...string) tls.Certificate {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}

	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// cluster is an API server that knows users and rights.
type cluster struct {
	*fake.Clientset

	authority authority

	mu sync.Mutex
	// tokens are users by their tokens.
	tokens map[string]authenticationv1.UserInfo
	// allow decides on reviews; down fails all of them.
	allow func(authorizationv1.SubjectAccessReviewSpec) bool
	down  bool
	// asked are the reviews so far.
	asked []authorizationv1.SubjectAccessReviewSpec
}

func newCluster(t *testing.T) *cluster {
	t.Helper()

	c := &cluster{
		authority: newAuthority(t),
		tokens: map[string]authenticationv1.UserInfo{"ann's": {
			Username: "ann", UID: "7", Groups: []string{"dev"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"a"}},
		}},
		allow: func(authorizationv1.SubjectAccessReviewSpec) bool { return true },
	}
	c.Clientset = fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "extension-apiserver-authentication"},
		Data:       map[string]string{"client-ca-file": c.authority.pem()},
	})
	c.PrependReactor("create", "tokenreviews", c.reviewToken)
	c.PrependReactor("create", "subjectaccessreviews", c.reviewAccess)

	return c
}

var errDown = errors.New("etcdserver: leader changed")

func (c *cluster) reviewToken(action clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.down {
		return true, nil, errDown
	}

	review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	user, known := c.tokens[review.Spec.Token]
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: known, User: user}

	if !known {
		review.Status.Error = "invalid bearer token"
	}

	return true, review, nil
}

func (c *cluster) reviewAccess(action clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.down {
		return true, nil, errDown
	}

	review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	c.asked = append(c.asked, review.Spec)
	review.Status.Allowed = c.allow(review.Spec)

	return true, review, nil
}

func (c *cluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()

	change()
}

func (c *cluster) lastAsked() authorizationv1.SubjectAccessReviewSpec {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.asked) == 0 {
		return authorizationv1.SubjectAccessReviewSpec{}
	}

	return c.asked[len(c.asked)-1]
}

// rollouts says in the reason who calls, as the controller sees it.
type rollouts struct {
	rolloutv1.UnimplementedRolloutServiceServer
}

func (rollouts) GetRollout(ctx context.Context, request *rolloutv1.GetRolloutRequest) (*rolloutv1.GetRolloutResponse, error) {
	return &rolloutv1.GetRolloutResponse{Rollout: &rolloutv1.Rollout{Agent: request.GetAgent(), Reason: who(ctx)}}, nil
}

func (rollouts) RetryRollout(context.Context, *rolloutv1.RetryRolloutRequest) (*rolloutv1.RetryRolloutResponse, error) {
	panic("a bug")
}

func (rollouts) WatchRollouts(request *rolloutv1.WatchRolloutsRequest, stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse]) error {
	err := stream.Send(&rolloutv1.WatchRolloutsResponse{Rollouts: []*rolloutv1.Rollout{{Agent: request.GetAgent(), Reason: who(stream.Context())}}})
	if err != nil {
		return err
	}

	<-stream.Context().Done()

	return stream.Context().Err()
}

func who(ctx context.Context) string {
	peer, _ := rpc.Peer(ctx)
	actors := metadata.ValueFromIncomingContext(ctx, "serin-actor")

	if len(actors) != 1 {
		return "not one actor"
	}

	return peer.String() + " for " + actors[0]
}

// openDoor runs a door until the test ends, and returns what it announces.
func openDoor(t *testing.T, c *cluster) (net.Addr, door.Announcement) {
	t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	changes, err := c.CoreV1().ConfigMaps(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()

	opened, err := door.New(door.Config{Rollouts: rollouts{}, Kubernetes: c, Namespace: namespace, Pod: pod, Listener: listener})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)

	go func() { done <- opened.Run(ctx) }()

	t.Cleanup(func() {
		cancel()

		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	for {
		select {
		case change := <-changes.ResultChan():
			found, err := door.Read(change.Object.(*corev1.ConfigMap))
			if err == nil && int(found.Port) == listener.Addr().(*net.TCPAddr).Port {
				return listener.Addr(), found
			}
		case <-time.After(patience):
			t.Fatal("the door is not announced")
		}
	}
}

// caller is a client at the door: a certificate, a token, and what else it says of itself.
type caller struct {
	certificate *tls.Certificate
	headers     map[string]string
}

func (c caller) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return c.headers, nil
}

func (caller) RequireTransportSecurity() bool { return true }

func withToken(token string) caller {
	return caller{headers: map[string]string{"authorization": "Bearer " + token}}
}

// call makes a client that trusts what is announced, and nothing else.
func (c caller) call(t *testing.T, address net.Addr, announced door.Announcement) *grpc.ClientConn {
	t.Helper()

	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: door.ServerName(namespace), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM([]byte(announced.Certificate))

	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}

	connection, err := grpc.NewClient("passthrough:///"+address.String(),
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithPerRPCCredentials(c))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = connection.Close() })

	return connection
}

func get(t *testing.T, connection *grpc.ClientConn) (string, error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	answer, err := rolloutv1.NewRolloutServiceClient(connection).GetRollout(ctx, &rolloutv1.GetRolloutRequest{Agent: "billing"})

	return answer.GetRollout().GetReason(), err
}
