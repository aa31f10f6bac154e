package app

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/controller/door"
)

const (
	clusterNamespace = "agents"
	clusterToken     = "ann's"
)

// fakeCluster is an API server over TLS that has what the command line needs: ConfigMaps, Agents, and the way to pods.
type fakeCluster struct {
	*httptest.Server

	t       *testing.T
	objects *fake.Clientset
	// noWebsockets answers as an API server, or a proxy before it, that knows SPDY alone.
	noWebsockets bool
	// onApply is told of each Agent that is applied.
	onApply func(agent map[string]any) error
	agents  []any
	// allow decides about rights at the door.
	allow func(*authorizationv1.ResourceAttributes) bool

	mu       sync.Mutex
	pods     map[string]string // where the door of a pod really is
	forwards []string          // how each way to a pod was opened
	open     []io.Closer
}

func newFakeCluster(t *testing.T) *fakeCluster {
	t.Helper()

	c := &fakeCluster{t: t, objects: fake.NewClientset(), pods: map[string]string{}, agents: []any{}}
	c.objects.PrependReactor("create", "tokenreviews", c.reviewToken)
	c.objects.PrependReactor("create", "subjectaccessreviews", c.reviewAccess)

	const root = "/api/v1/namespaces/" + clusterNamespace

	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"/configmaps/{name}", c.configMap)
	mux.HandleFunc(root+"/pods/{pod}/portforward", c.portForward)
	mux.HandleFunc("GET /apis/serin.dev/v1alpha1/namespaces/"+clusterNamespace+"/agents", c.listAgents)
	mux.HandleFunc("PATCH /apis/serin.dev/v1alpha1/namespaces/"+clusterNamespace+"/agents/{agent}", c.applyAgent)

	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+clusterToken {
			c.refuse(w, apierrors.NewUnauthorized("Unauthorized"))

			return
		}

		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.cut()
		c.Close()
	})

	return c
}

// kubeconfig writes one for the cluster, and returns the flags that name it.
func (c *fakeCluster) kubeconfig() []string {
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: c.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}),
	}
	config.AuthInfos["ann"] = &clientcmdapi.AuthInfo{Token: clusterToken}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "ann", Namespace: "elsewhere"}
	config.CurrentContext = "test"

	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		c.t.Fatal(err)
	}

	return []string{"--kubeconfig", path, "-n", clusterNamespace}
}

func (c *fakeCluster) reviewToken(action clienttesting.Action) (bool, runtime.Object, error) {
	review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	if review.Spec.Token == clusterToken {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "ann"}}
	}

	return true, review, nil
}

func (c *fakeCluster) reviewAccess(action clienttesting.Action) (bool, runtime.Object, error) {
	review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	review.Status.Allowed = c.allow == nil || c.allow(review.Spec.ResourceAttributes)

	return true, review, nil
}

// lead has a controller lead in a pod, until what it returns is called.
func (c *fakeCluster) lead(pod string, rollouts rolloutv1.RolloutServiceServer) (stop func()) {
	c.t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}

	opened, err := door.New(door.Config{Rollouts: rollouts, Kubernetes: c.objects, Namespace: clusterNamespace, Pod: pod, Listener: listener})
	if err != nil {
		c.t.Fatal(err)
	}

	c.mu.Lock()
	c.pods[pod] = listener.Addr().String()
	c.mu.Unlock()

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)

	go func() { done <- opened.Run(ctx) }()

	c.eventually("the door is announced", func() bool {
		found, err := c.objects.CoreV1().ConfigMaps(clusterNamespace).Get(ctx, door.ConfigMap, metav1.GetOptions{})

		return err == nil && found.Data["pod"] == pod && strings.HasSuffix(listener.Addr().String(), ":"+found.Data["port"])
	})

	stop = sync.OnceFunc(func() {
		c.mu.Lock()
		delete(c.pods, pod)
		c.mu.Unlock()
		c.cut()
		cancel()

		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(stop)

	return stop
}

func (c *fakeCluster) eventually(what string, is func() bool) {
	c.t.Helper()

	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)

	defer tick.Stop()

	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatal("not in time: " + what)
		}
	}
}

func (c *fakeCluster) configMap(w http.ResponseWriter, r *http.Request) {
	found, err := c.objects.CoreV1().ConfigMaps(clusterNamespace).Get(r.Context(), r.PathValue("name"), metav1.GetOptions{})
	if err != nil {
		c.refuse(w, err)

		return
	}

	found = found.DeepCopy()
	found.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	c.reply(w, http.StatusOK, found)
}

func (c *fakeCluster) listAgents(w http.ResponseWriter, _ *http.Request) {
	c.reply(w, http.StatusOK, map[string]any{"apiVersion": "serin.dev/v1alpha1", "kind": "AgentList", "items": c.agents})
}

func (c *fakeCluster) applyAgent(w http.ResponseWriter, r *http.Request) {
	agent := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&agent); err != nil {
		c.t.Error(err)
	}

	if r.URL.Query().Get("fieldManager") != fieldManager || r.Header.Get("Content-Type") != "application/apply-patch+yaml" ||
		r.URL.Query().Get("force") == "true" {
		c.t.Errorf("applied as %s, %s", r.URL.RawQuery, r.Header.Get("Content-Type"))
	}

	if err := c.onApply(agent); err != nil {
		c.refuse(w, err)

		return
	}

	c.reply(w, http.StatusOK, agent)
}

func (c *fakeCluster) reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)

	if err := json.NewEncoder(w).Encode(value); err != nil {
		c.t.Error(err)
	}
}

func (c *fakeCluster) refuse(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err)
	if known, ok := err.(*apierrors.StatusError); ok { //nolint:errorlint // it is what a handler made
		status = known
	}

	answer := status.Status()
	answer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	c.reply(w, int(answer.Code), answer)
}

// portForward is the API server and the kubelet at once.
func (c *fakeCluster) portForward(w http.ResponseWriter, r *http.Request) {
	pod := r.PathValue("pod")

	c.mu.Lock()
	address, there := c.pods[pod]
	c.forwards = append(c.forwards, r.Method+" "+pod)
	c.mu.Unlock()

	switch {
	case r.Method == http.MethodGet && c.noWebsockets:
		http.Error(w, "no websockets here", http.StatusBadRequest)
	case !there:
		c.refuse(w, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod))
	case r.Method == http.MethodGet:
		c.overWebsockets(w, r, address)
	default:
		c.overSPDY(w, r, address)
	}
}

func (c *fakeCluster) overWebsockets(w http.ResponseWriter, r *http.Request, address string) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"SPDY/3.1+" + portforward.PortForwardProtocolV1Name}}

	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		c.t.Error(err)

		return
	}

	tunnel := portforward.NewTunnelingConnection("server", socket)
	streams := make(chan httpstream.Stream, 100) // more than a test opens

	connection, err := spdy.NewServerConnection(tunnel, collect(streams))
	if err != nil {
		c.t.Error(err)

		return
	}

	c.carry(connection, streams, address)
}

func (c *fakeCluster) overSPDY(w http.ResponseWriter, r *http.Request, address string) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		c.t.Error(err)

		return
	}

	streams := make(chan httpstream.Stream, 100) // more than a test opens

	connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, collect(streams))
	if connection == nil {
		return
	}

	c.carry(connection, streams, address)
}

// collect passes streams of data on once the client knows of them.
func collect(streams chan httpstream.Stream) func(httpstream.Stream, <-chan struct{}) error {
	return func(stream httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied

			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeData {
				streams <- stream
			} else {
				_ = stream.Close() // nothing goes wrong
			}
		}()

		return nil
	}
}

// carry connects streams to a pod until the connection ends.
func (c *fakeCluster) carry(connection httpstream.Connection, streams chan httpstream.Stream, address string) {
	c.mu.Lock()
	c.open = append(c.open, connection)
	c.mu.Unlock()

	for {
		select {
		case stream := <-streams:
			go pipe(stream, address)
		case <-connection.CloseChan():
			return
		}
	}
}

func pipe(stream httpstream.Stream, address string) {
	defer stream.Reset()

	pod, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer pod.Close()

	done := make(chan struct{}, 2)

	go func() { _, _ = io.Copy(pod, stream); done <- struct{}{} }()
	go func() { _, _ = io.Copy(stream, pod); done <- struct{}{} }()

	<-done
}

// cut ends all ways to pods.
func (c *fakeCluster) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, connection := range c.open {
		_ = connection.Close() // it may have ended by itself
	}

	c.open = nil
}

func (c *fakeCluster) seenForwards() string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return strings.Join(c.forwards, ", ")
}

// inCluster has a cluster with the rollouts that a test wrote for REST.
func inCluster(t *testing.T, rollouts *fakeRollouts) (*fakeCluster, []string) {
	t.Helper()

	c := newFakeCluster(t)
	c.lead("serin-controller-0", rolloutsAtTheDoor{fakeRollouts: rollouts})

	return c, c.kubeconfig()
}

// remoteTerminal is a terminal for commands that speak to a fake cluster: the library behind the cluster's end of the ways
// to pods keeps a goroutine for minutes after each is closed.
func remoteTerminal(t *testing.T) *terminal {
	t.Helper()

	options := []goleak.Option{goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown")}
	t.Cleanup(func() { goleak.VerifyNone(t, options...) })

	term := &terminal{t: t, out: &watched{}, err: &watched{}}
	term.env = &Env{Stdin: strings.NewReader(""), Stdout: term.out, Stderr: term.err, Getenv: func(string) string { return "" }}

	return term
}

func runRemotely(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()

	term := remoteTerminal(t)
	code = term.run(args...)

	return code, term.out.String(), term.err.String()
}
