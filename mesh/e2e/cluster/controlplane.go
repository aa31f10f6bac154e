package cluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// controllers are the ones that a mesh of Deployments needs. There is no scheduler, no node lifecycle and no volumes:
// the kubelet binds Pods and keeps directories.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller", "disruption-controller",
	"endpointslice-controller", "serviceaccount-controller", "namespace-controller", "garbage-collector-controller",
	"root-ca-certificate-publisher-controller", "clusterrole-aggregation-controller",
}

func (c *Cluster) newEtcd() *Component {
	return c.component("etcd", c.binaries.Etcd, []string{
		"--data-dir=" + filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://" + c.listen.etcd, "--advertise-client-urls=http://" + c.listen.etcd,
		"--listen-peer-urls=http://" + c.listen.etcdPeer, "--initial-advertise-peer-urls=http://" + c.listen.etcdPeer,
		"--initial-cluster=default=http://" + c.listen.etcdPeer, "--log-level=warn",
	}, nil, c.answers(http.DefaultTransport, "http://"+c.listen.etcd+"/health"))
}

func (c *Cluster) newAPIServer() (*Component, error) {
	hosts := append([]string{"localhost", "127.0.0.1", NodeIP, "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		c.options.ServingHosts...)

	serving, err := c.ca.issue(pkix.Name{CommonName: "kube-apiserver"}, hosts...)
	if err != nil {
		return nil, err
	}

	toKubelet, err := c.ca.issue(pkix.Name{CommonName: kubeletClient})
	if err != nil {
		return nil, err
	}

	signing, err := serviceAccountKey(c.dir)
	if err != nil {
		return nil, err
	}

	return c.component("kube-apiserver", c.binaries.APIServer, []string{
		"--etcd-servers=http://" + c.listen.etcd,
		"--bind-address=" + c.listen.ip, fmt.Sprint("--secure-port=", port(c.listen.apiServer)),
		"--tls-cert-file=" + serving.certFile, "--tls-private-key-file=" + serving.keyFile,
		"--client-ca-file=" + c.ca.file(), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--api-audiences=https://kubernetes.default.svc,istio-ca",
		"--service-account-key-file=" + signing, "--service-account-signing-key-file=" + signing,
		"--kubelet-client-certificate=" + toKubelet.certFile, "--kubelet-client-key=" + toKubelet.keyFile,
		"--kubelet-certificate-authority=" + c.ca.file(), "--kubelet-preferred-address-types=InternalIP",
		// Nothing listens at cluster IPs, so webhooks are called at the addresses behind them.
		"--service-cluster-ip-range=" + serviceCIDR, "--enable-aggregator-routing",
		"--endpoint-reconciler-type=none", "--advertise-address=10.50.255.1", // never dialled
		"--disable-admission-plugins=StorageObjectInUseProtection", // its finalizer is taken off by a controller that is not there
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000", "--shutdown-delay-duration=0s",
	}, nil, c.apiServerReady), nil
}

func (c *Cluster) newControllerManager() *Component {
	address := c.listen.ip
	return c.component("kube-controller-manager", c.binaries.ControllerManager, []string{
		"--kubeconfig=" + c.Kubeconfig, "--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false", "--use-service-account-credentials", "--bind-address=" + address,
		"--service-account-private-key-file=" + filepath.Join(c.dir, serviceAccountKeyFile), "--root-ca-file=" + c.ca.file(),
		"--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10",
	}, nil, c.answers(&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		"https://"+address+":10257/healthz"))
}

// component names a process and its log. It inherits no environment.
func (c *Cluster) component(name, path string, args, env []string, ready func(context.Context) error) *Component {
	return &Component{
		Name: name, Log: filepath.Join(c.Logs, name+".log"), path: path, args: args, ready: ready,
		env: append([]string{"HOME=" + c.dir, "PATH=" + os.Getenv("PATH")}, env...),
	}
}

// answers makes a check whether an address answers with status 200.
func (c *Cluster) answers(transport http.RoundTripper, url string) func(context.Context) error {
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}

	return func(ctx context.Context) error {
		defer client.CloseIdleConnections()

		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}

		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		defer response.Body.Close() //nolint:errcheck // read only

		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 500)) // for the message only

			return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
		}

		return nil
	}
}

const serviceAccountKeyFile = "service-account.key"

// serviceAccountKey makes the key that ServiceAccount tokens are signed with.
func serviceAccountKey(dir string) (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make the service accounts' key: %w", err)
	}

	path := filepath.Join(dir, serviceAccountKeyFile)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}

	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", fmt.Errorf("write the service accounts' key: %w", err)
	}

	return path, nil
}
