package cluster

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"

	istionetworking "istio.io/client-go/pkg/apis/networking/v1"
	istiosecurity "istio.io/client-go/pkg/apis/security/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Scheme knows Kubernetes' own types, CustomResourceDefinitions, and Istio's networking and security types.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, istionetworking.AddToScheme, istiosecurity.AddToScheme)

	return scheme, builder.AddToScheme(scheme)
}

// connect makes the administrator's clients. Nothing is asked of the API server yet.
func (c *Cluster) connect() error {
	pair, err := c.ca.issue(pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}})
	if err != nil {
		return err
	}

	c.config = c.bareConfig()
	c.config.CertData, c.config.KeyData = pair.certPEM, pair.keyPEM
	c.Kubeconfig = filepath.Join(c.dir, "admin.kubeconfig")

	if err := WriteKubeconfig(c.Kubeconfig, c.config); err != nil {
		return err
	}

	c.Kubernetes, err = kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}

	return nil
}

// connectTyped makes the controller-runtime client, which asks the API server what it knows.
func (c *Cluster) connectTyped() error {
	scheme, err := Scheme()
	if err != nil {
		return fmt.Errorf("make the scheme: %w", err)
	}

	c.Client, err = client.New(c.config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}

	return nil
}

// bareConfig is a client's configuration without an identity. It does not slow clients down.
func (c *Cluster) bareConfig() *rest.Config {
	return &rest.Config{
		Host: "https://" + c.listen.apiServer, TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.pem()}, QPS: -1,
	}
}

// Config returns a copy of the administrator's configuration.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// ConfigFor returns the configuration of a client that is the ServiceAccount, with a token that lasts for the test:
// what RBAC does not allow it, it can't do. The ServiceAccount is created if it is missing.
func (c *Cluster) ConfigFor(ctx context.Context, namespace, serviceAccount string) (*rest.Config, error) {
	accounts := c.Kubernetes.CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: serviceAccount}}

	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create service account %s/%s: %w", namespace, serviceAccount, err)
	}

	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600)}}

	answer, err := accounts.CreateToken(ctx, serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask for a token of %s/%s: %w", namespace, serviceAccount, err)
	}

	config := c.bareConfig()
	config.BearerToken = answer.Status.Token

	return config, nil
}

// Namespace creates a namespace, with labels, if it is missing.
func (c *Cluster) Namespace(ctx context.Context, name string, labels map[string]string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}

	_, err := c.Kubernetes.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}

	return nil
}

// WriteKubeconfig writes a configuration as a kubeconfig that only its owner can read.
func WriteKubeconfig(path string, config *rest.Config) error {
	const name = "serin-e2e"

	content, err := clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name, Namespace: "default"}},
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
		}},
	})
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}

	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}

	return nil
}
