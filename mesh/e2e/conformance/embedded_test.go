package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/identity"
	"github.com/serinhq/serin/mesh/xds"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// embedded is mesh/xds as `serin up` wires it, and the workloads as processes of one machine.
type embedded struct {
	t         *testing.T
	dir       string
	authority *identity.CA
	api       client.Client
	discovery string
	processes map[string]running
}

// running is where a process is.
type running struct{ control, address string }

const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo, namespace: conform}
spec:
  hosts: [echo.conform.svc.cluster.local]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: echo}}
`

const workload = `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: %[1]s, namespace: conform, labels: {app: echo, revision: %[2]s}, annotations: {serin.dev/ready: "%[4]t"}}
spec: {address: 127.0.0.1, ports: {grpc: %[3]s}, labels: {app: echo, revision: %[2]s}, serviceAccount: echo}
`

func startEmbedded(t *testing.T) *embedded {
	t.Helper()

	e := &embedded{t: t, dir: t.TempDir(), processes: map[string]running{}}

	authority, err := identity.OpenCA(filepath.Join(e.dir, "ca"), identity.CAConfig{})
	must(t, err)

	e.authority = authority
	e.startControlPlane()
	must(t, put(t.Context(), e, entry))

	for _, process := range processes() {
		e.startProcess(process)
	}

	for _, process := range processes() {
		if process.revision != "" {
			must(t, e.ready(t.Context(), process.name, true))
		}
	}

	return e
}

// startControlPlane serves the objects and their translation, until the test ends.
func (e *embedded) startControlPlane() {
	e.t.Helper()

	store, err := objects.Open(objects.Config{Dir: filepath.Join(e.dir, "objects"), Validate: xds.Validate})
	must(e.t, err)

	server, err := xds.New(xds.Config{
		Objects: store, Directory: filepath.Join(e.dir, "objects"), Identity: peer, Logger: slog.New(slog.NewTextHandler(e.t.Output(), nil)),
	})
	must(e.t, err)

	api := httptest.NewServer(store.Handler())
	scheme, err := cluster.Scheme()
	must(e.t, err)

	e.api, err = client.New(&rest.Config{Host: api.URL, QPS: -1}, client.Options{Scheme: scheme})
	must(e.t, err)

	ctx, cancel := context.WithCancel(context.WithoutCancel(e.t.Context()))
	front := grpc.NewServer(grpc.Creds(credentials.NewTLS(e.credentials(ctx, namespace, rpc.Mesh).ServerTLS(nil))))
	server.Register(front)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	must(e.t, err)

	e.discovery = listener.Addr().String()
	ended := make(chan error, 2)

	go func() { ended <- server.Run(ctx) }()
	go func() { ended <- front.Serve(listener) }()

	e.t.Cleanup(func() {
		cancel()
		front.Stop()

		for range cap(ended) {
			if err := <-ended; err != nil {
				e.t.Error(err)
			}
		}

		api.Close()

		if err := store.Close(); err != nil {
			e.t.Error(err)
		}
	})
}

func (e *embedded) certificate(namespace, account string) string {
	e.t.Helper()

	dir := filepath.Join(e.dir, "certificates", namespace, account)
	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: account}
	must(e.t, e.authority.Issue(dir, id.String(), "127.0.0.1"))

	return dir
}

func (e *embedded) credentials(ctx context.Context, namespace, account string) rpc.Credentials {
	e.t.Helper()

	source, err := identity.Watch(ctx, e.certificate(namespace, account))
	must(e.t, err)

	return rpc.Credentials{SVID: source, Bundle: source}
}

// startProcess starts a workload and waits until it says where it is.
func (e *embedded) startProcess(one process) {
	e.t.Helper()

	serve := ""
	if one.revision != "" {
		serve = "127.0.0.1:0"
	}

	var complaints bytes.Buffer

	command := exec.CommandContext(context.WithoutCancel(e.t.Context()), cluster.Program("echo"),
		"-name="+one.name, "-namespace="+one.namespace, "-account="+one.account, "-revision="+one.revision, "-ip=127.0.0.1",
		"-labels=app="+one.account+",revision="+one.revision, "-discovery="+e.discovery,
		"-directory="+e.certificate(one.namespace, one.account), "-serve="+serve)
	command.Env = append(os.Environ(), "GRPC_XDS_BOOTSTRAP="+filepath.Join(e.dir, one.name+".json"))
	command.Stderr = &complaints

	out, err := command.StdoutPipe()
	must(e.t, err)
	must(e.t, command.Start())
	e.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended

		if err := command.Wait(); err != nil {
			e.t.Errorf("%s ended: %v\n%s", one.name, err, complaints.String())
		}
	})

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.t.Fatalf("%s does not say where it is: %v\n%s", one.name, err, complaints.String())
	}

	control, address, _ := strings.Cut(strings.TrimSpace(line), " ")
	e.processes[one.name] = running{control, address}
}

// peer is who the other end of a stream is, of whatever namespace.
func peer(ctx context.Context) (namespace, name string, ok bool) {
	id, ok := peerIdentity(ctx)

	return id.Namespace, id.Name, ok
}

func (*embedded) String() string { return "mesh/xds" }

func (e *embedded) objects() client.Client { return e.api }

func (e *embedded) control(process string) string { return e.processes[process].control }

func (e *embedded) address(process string) string { return e.processes[process].address }

// ready says so in the server's WorkloadEntry, as the supervisor does.
func (e *embedded) ready(ctx context.Context, server string, ready bool) error {
	_, port, err := net.SplitHostPort(e.address(server))
	if err != nil {
		return err
	}

	for _, process := range processes() {
		if process.name == server {
			return put(ctx, e, fmt.Sprintf(workload, server, process.revision, port, ready))
		}
	}

	return fmt.Errorf("no server %s", server)
}
