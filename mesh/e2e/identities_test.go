package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/identity"
)

// istiodAddress is what every pod knows istiod by.
const istiodAddress = "istiod.istio-system.svc:15012"

// credentials gets a certificate of a service account from istiod, as a pod of that account does.
func credentials(t *testing.T, namespace, account string) rpc.Credentials {
	t.Helper()

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)

	source, err := identity.Watch(ctx, certificates(t, namespace, account))
	if err != nil {
		t.Fatal(err)
	}

	return rpc.Credentials{SVID: source, Bundle: source}
}

// certificates keeps a certificate of a service account from istiod in a directory until the test ends.
func certificates(t *testing.T, namespace, account string) string {
	t.Helper()

	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}

		return path
	}

	root, err := shared.Kubernetes.CoreV1().ConfigMaps(namespace).Get(t.Context(), "istio-ca-root-cert", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := shared.ConfigFor(t.Context(), namespace, account); err != nil { // it makes the account
		t.Fatal(err)
	}

	token, err := shared.Kubernetes.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{identity.TokenAudience}}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	keeper, err := identity.NewIstiod(identity.IstiodConfig{
		Address: istiodAddress, TokenFile: write("token", token.Status.Token), RootFile: write("root.pem", root.Data["root-cert.pem"]),
		Directory: filepath.Join(dir, "certificates"),
		Identity:  rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: account},
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})

	go func() {
		defer close(ended)

		_ = keeper.Run(ctx) // it ends with its context
	}()
	t.Cleanup(func() { cancel(); <-ended })

	select {
	case <-keeper.Issued():
	case <-t.Context().Done():
		t.Fatal(keeper.Check(t.Context()))
	}

	return filepath.Join(dir, "certificates")
}

// dialPod speaks gRPC to one pod, under an identity of Serin's namespace.
func dialPod(t *testing.T, as rpc.Credentials, pod *corev1.Pod) *grpc.ClientConn {
	t.Helper()

	conn, err := rpc.Dial(pod.Status.PodIP+":9000",
		rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName},
		rpc.ClientConfig{Credentials: as})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = conn.Close() })

	return conn
}

// inTheMesh wants that every process took everything that istiod told it: no configuration was refused.
func (p *platform) inTheMesh() {
	p.Helper()

	as := credentials(p.T, install.Namespace, rpc.Operator)

	list := &corev1.PodList{}
	p.must(shared.Client.List(p.Context(), list))

	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Namespace == install.Namespace && isReady(pod) && pod.Labels["app"] != rpc.Gateway {
			p.hasTheMesh(pod, dialPod(p.T, as, pod))
		}
	}
}

// hasTheMesh wants that a pod refused nothing of the mesh, unless it leaves meanwhile: revisions retire by themselves.
func (p *platform) hasTheMesh(pod *corev1.Pod, connection *grpc.ClientConn) {
	p.Helper()

	problem := rpctest.AskMesh(p.Context(), connection)
	if problem == nil {
		return
	}

	now := &corev1.Pod{}
	if err := shared.Client.Get(p.Context(), client.ObjectKeyFromObject(pod), now); err == nil && now.DeletionTimestamp == nil {
		p.Errorf("pod %s: %v", pod.Name, problem)
	}
}
