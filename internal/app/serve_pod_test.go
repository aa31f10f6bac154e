package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	istionet "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/mesh/identity/identitytest"
	"github.com/serinhq/serin/mesh/xds"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// podNamespace is not that of `serin up`.
const podNamespace = "shop"

// meshOfPods is an istiod, as far as pods see: certificates by token, and the Istio objects over xDS, at one address.
type meshOfPods struct {
	*identitytest.Istiod

	t       *testing.T
	dir     string
	objects versioned.Interface
}

func newMeshOfPods(t *testing.T) *meshOfPods {
	t.Helper()

	m := &meshOfPods{Istiod: identitytest.New(t), t: t, dir: t.TempDir()}

	store, err := objects.Open(objects.Config{Dir: filepath.Join(m.dir, "objects"), Validate: xds.Validate})
	m.must(err)

	server, err := xds.New(xds.Config{Objects: store, Identity: certified})
	m.must(err)
	m.Serve(func(front *grpc.Server) { server.Register(front) })

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)

	go func() { ran <- server.Run(ctx) }()

	api := httptest.NewServer(store.Handler())
	m.objects, err = versioned.NewForConfig(&rest.Config{Host: api.URL, QPS: -1})
	m.must(err)

	t.Cleanup(func() {
		m.Stop()
		cancel()
		m.must(<-ran)
		api.Close()
		m.must(store.Close())
	})

	return m
}

// certified is who the certificate of a stream's peer names: pods show theirs to istiod.
func certified(ctx context.Context) (namespace, name string, ok bool) {
	from, _ := peer.FromContext(ctx)

	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 || len(info.State.PeerCertificates[0].URIs) != 1 {
		return "", "", false
	}

	id, err := rpc.ParseIdentity(info.State.PeerCertificates[0].URIs[0].String())

	return id.Namespace, id.Name, err == nil
}

func (m *meshOfPods) must(err error) {
	m.t.Helper()

	if err != nil {
		m.t.Fatal(err)
	}
}

// service makes a service known that one process serves.
func (m *meshOfPods) service(name, address string) {
	m.t.Helper()

	host, port, err := net.SplitHostPort(address)
	m.must(err)
	number, err := strconv.ParseUint(port, 10, 16)
	m.must(err)

	labels := map[string]string{"app": name}
	meta := metav1.ObjectMeta{Name: name, Namespace: podNamespace}

	_, err = m.objects.NetworkingV1().ServiceEntries(podNamespace).Create(m.t.Context(), &networkingv1.ServiceEntry{
		ObjectMeta: meta,
		Spec: istionet.ServiceEntry{
			Hosts:            []string{rpc.Host(podNamespace, name)},
			Ports:            []*istionet.ServicePort{{Number: 9000, Name: "grpc", Protocol: "GRPC"}},
			Location:         istionet.ServiceEntry_MESH_INTERNAL,
			Resolution:       istionet.ServiceEntry_STATIC,
			WorkloadSelector: &istionet.WorkloadSelector{Labels: labels},
		},
	}, metav1.CreateOptions{})
	m.must(err)

	_, err = m.objects.NetworkingV1().WorkloadEntries(podNamespace).Create(m.t.Context(), &networkingv1.WorkloadEntry{
		ObjectMeta: meta,
		Spec: istionet.WorkloadEntry{
			Address: host, Ports: map[string]uint32{"grpc": uint32(number)}, Labels: labels, ServiceAccount: name,
		},
	}, metav1.CreateOptions{})
	m.must(err)
}

// pod is one process, started as a kubelet does.
type pod struct {
	t    *testing.T
	http string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// start runs a process with a configuration and what Kubernetes would add.
func (m *meshOfPods) start(name string, config map[string]any, env ...string) *pod {
	m.t.Helper()

	dir := filepath.Join(m.dir, name)
	m.must(os.MkdirAll(dir, 0o700))

	listen, _ := config["listen"].(map[string]string)
	p := &pod{t: m.t, http: testenv.FreePort(m.t), log: &bytes.Buffer{}}
	listen["http"] = p.http
	config["name"], config["certificates"], config["drain"] = name, filepath.Join(dir, "certificates"), "5s"

	if config["dataPlane"] == nil {
		token := "token of " + name
		m.Allow(token, rpc.Identity{TrustDomain: "cluster.local", Namespace: podNamespace, Name: name}.String())
		m.WriteFiles(token, filepath.Join(dir, "token"), filepath.Join(dir, "root-cert.pem"))

		config["dataPlane"] = map[string]any{
			"mode": "proxyless", "discovery": m.Address(),
			"tokenFile": filepath.Join(dir, "token"), "rootFile": filepath.Join(dir, "root-cert.pem"),
		}
	}

	data, err := json.Marshal(config)
	m.must(err)

	path := filepath.Join(dir, "config.json")
	m.must(os.WriteFile(path, data, 0o600))

	p.cmd = exec.CommandContext(context.WithoutCancel(m.t.Context()), binary, "serve", "--config", path)
	p.cmd.Stderr = p.log
	p.cmd.Env = append(os.Environ(), append(env,
		"POD_NAME="+name+"-0", "POD_NAMESPACE="+podNamespace, "POD_IP=127.0.0.1", "GRPC_XDS_BOOTSTRAP="+filepath.Join(dir, "run", "xds.json"))...)
	m.must(p.cmd.Start())
	m.t.Cleanup(p.stop)

	return p
}

// stop ends the process as a kubelet does, and expects that it ends well.
func (p *pod) stop() {
	p.t.Helper()

	if p.cmd.ProcessState != nil {
		return
	}

	_ = p.cmd.Process.Signal(syscall.SIGTERM)

	force := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()

	if err := p.cmd.Wait(); err != nil || p.t.Failed() {
		p.t.Errorf("the process ended with %v\n%s", err, p.log)
	}
}

// get returns status and body of a page.
func (p *pod) get(path string) (int, string, error) {
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.http+path, nil)
	if err != nil {
		return 0, "", err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()

	body, err := io.ReadAll(response.Body)

	return response.StatusCode, string(body), err
}

// shows waits until a page has a status and all of the words.
func (p *pod) shows(path string, status int, words ...string) {
	p.t.Helper()

	var (
		got  int
		body string
		err  error
	)

	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got, body, err = p.get(path); err == nil && got == status && containsAll(body, words) {
			return
		}
	}

	p.t.Fatalf("%s shows %d %s (%v), want %d with %q", path, got, body, err, status, words)
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}

	return true
}

// TestPodsWithoutAnAgentOfIstios has processes get their certificates from istiod and find each other through it, from
// before it is there until after it is gone.
func TestPodsWithoutAnAgentOfIstios(t *testing.T) {
	m := newMeshOfPods(t)
	address := testenv.FreePort(t)
	catalogue := filepath.Join(m.dir, "catalogue.json")
	m.must(os.WriteFile(catalogue, []byte(`{"agents": [], "grants": {}, "servers": []}`), 0o600))
	m.service(rpc.Context, address)

	store := m.start(rpc.Context, map[string]any{
		"room": "context", "listen": map[string]string{"grpc": address},
		"context": map[string]any{"database": filepath.Join(m.dir, "serin.db")},
	})
	door := m.start(rpc.Gateway, map[string]any{
		"room": "gateway", "listen": map[string]string{}, "catalogue": catalogue, "gateway": map[string]any{"insecureNoAuth": true},
	})

	for _, waiting := range []*pod{store, door} {
		waiting.shows("/health/live", http.StatusOK)
		waiting.shows("/health/startup", http.StatusOK)
		waiting.shows("/health/ready", http.StatusServiceUnavailable, `"identity"`, "waiting for istiod at "+m.Address(), "refused")
		waiting.shows("/v1/conversations", http.StatusServiceUnavailable, "waiting for a certificate")
	}

	m.Start()
	store.shows("/health/ready", http.StatusOK, `"identity"`, `"listener"`, `"database"`)
	door.shows("/health/ready", http.StatusOK, `"identity"`, `"`+rpc.Context+`"`)
	door.shows("/v1/conversations", http.StatusOK)

	m.Stop()

	for range 20 { // nobody notices
		if status, body, err := door.get("/v1/conversations"); err != nil || status != http.StatusOK {
			t.Fatalf("without istiod: %d %s, %v", status, body, err)
		}
	}

	store.shows("/health/ready", http.StatusOK)
	door.stop()
	store.stop()
}

func TestAPodEndsWhileItWaits(t *testing.T) {
	m := newMeshOfPods(t)
	waiting := m.start(rpc.Context, map[string]any{
		"room": "context", "listen": map[string]string{"grpc": testenv.FreePort(t)},
		"context": map[string]any{"database": filepath.Join(m.dir, "serin.db")},
	})

	waiting.shows("/health/ready", http.StatusServiceUnavailable, "waiting for istiod")
	waiting.stop()
}

func TestAnAmbassadorServesItsPod(t *testing.T) {
	m := newMeshOfPods(t)
	address := testenv.FreePort(t)
	ambassador := m.start("billing", map[string]any{
		"room": "ambassador", "listen": map[string]string{"llm": address}, "dataPlane": map[string]any{"mode": "none"},
	})

	ambassador.shows("/health/ready", http.StatusOK)

	llm := &pod{t: t, http: address}
	llm.shows("/v1/models", http.StatusOK)
}

func TestAHalfConfiguredPodEndsWithTwo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	config := `{"room": "context", "name": "serin-context", "dataPlane": {"mode": "proxyless", "discovery": "istiod"}}`

	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	output, err := exec.CommandContext(t.Context(), binary, "serve", "--config", path).CombinedOutput()

	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 2 {
		t.Errorf("ended with %v", err)
	}

	for _, field := range []string{"dataPlane.discovery", "dataPlane.tokenFile", "dataPlane.rootFile", "namespace", "POD_IP", "GRPC_XDS_BOOTSTRAP"} {
		if !strings.Contains(string(output), field+":") {
			t.Errorf("says nothing about %s: %s", field, output)
		}
	}

	if t.Failed() {
		fmt.Fprintln(t.Output(), string(output))
	}
}
