package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// chartKinds are what is taken from Istio's chart, in the order of applying. Its Deployment is the process that
// [Cluster.Istiod] is, and sidecars are not injected.
var chartKinds = []string{
	"CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap",
	"Service", "ValidatingWebhookConfiguration",
}

func (c *Cluster) newIstiod(kubeconfig string) *Component {
	env := []string{
		"POD_NAME=istiod-0", "POD_NAMESPACE=" + IstioNamespace, "SERVICE_ACCOUNT=istiod", "REVISION=default",
		"PILOT_CERT_PROVIDER=istiod", "CLUSTER_ID=Kubernetes", "ISTIOD_CUSTOM_HOST=localhost," + c.listen.ip,
		"VALIDATION_WEBHOOK_CONFIG_NAME=istio-validator-" + IstioNamespace, "PILOT_ENABLE_GATEWAY_API=false",
		"INJECTION_WEBHOOK_CONFIG_NAME=", "ENABLE_DEBUG_ENDPOINT_AUTH=false",
		"CA_DIR=" + filepath.Join(c.dir, "istiod-ca"),
	}

	if c.options.Debounce > 0 {
		env = append(env, "PILOT_DEBOUNCE_AFTER="+c.options.Debounce.String())
	}

	return c.component("istiod", c.binaries.Istiod, []string{
		"discovery", "--kubeconfig", kubeconfig, "--networksConfig", "/dev/null", "--clusterID", "Kubernetes",
		"--shutdownDuration", "1s", "--log_as_json=false", "--keepaliveMaxServerConnectionAge", "30m",
		"--meshConfig", filepath.Join(c.dir, "none"), // so that it is the ConfigMap istio, as in any cluster
		"--grpcAddr", c.listen.istiodPlain, "--secureGRPCAddr", c.listen.istiodXDS, "--httpAddr", c.listen.istiodHTTP,
		"--httpsAddr", c.listen.istiodWebhook, "--monitoringAddr", c.listen.istiodMonitoring,
	}, env, c.answers(http.DefaultTransport, "http://"+c.listen.istiodHTTP+"/ready"))
}

// chart renders Istio's own chart, with the values of its minimal profile.
func (c *Cluster) chart(ctx context.Context) ([]*unstructured.Unstructured, error) {
	render := exec.CommandContext(ctx, c.binaries.Istioctl, "manifest", "generate",
		"--set", "profile=minimal",
		"--set", "values.defaultRevision=default") // whose webhook validates all objects
	render.Env = []string{"HOME=" + c.dir, "PATH=/usr/bin:/bin", "KUBECONFIG=" + filepath.Join(c.dir, "none")}

	var problem bytes.Buffer

	render.Stderr = &problem

	rendered, err := render.Output()
	if err != nil {
		return nil, fmt.Errorf("render Istio's chart: %w: %s", err, problem.String())
	}

	objects, err := Parse(string(rendered))
	if err != nil {
		return nil, fmt.Errorf("read Istio's chart: %w", err)
	}

	return slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool {
		return !slices.Contains(chartKinds, object.GetKind())
	}), nil
}

// installIstio applies the chart's objects, kind by kind.
func (c *Cluster) installIstio(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, kind := range chartKinds {
		group := slices.DeleteFunc(slices.Clone(objects), func(object *unstructured.Unstructured) bool {
			return object.GetKind() != kind
		})

		for _, object := range group {
			if err := c.adaptChart(object); err != nil {
				return err
			}
		}

		if err := c.applyAll(ctx, group); err != nil {
			return err
		}
	}

	if c.options.Loopback {
		return nil
	}

	return c.applyIstiodEndpoint(ctx)
}

// adaptChart changes what differs where istiod is a process: its Service selects no Pods, and on the loopback, where no
// EndpointSlice may point, the webhook has a URL.
func (c *Cluster) adaptChart(object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "Service":
		unstructured.RemoveNestedField(object.Object, "spec", "selector")
	case "ValidatingWebhookConfiguration":
		if c.options.Loopback {
			return pointWebhooks(object, fmt.Sprintf("https://localhost:%d/validate", port(c.listen.istiodWebhook)))
		}
	}

	return nil
}

func pointWebhooks(object *unstructured.Unstructured, url string) error {
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil {
		return fmt.Errorf("read webhooks of %s: %w", object.GetName(), err)
	}

	for _, webhook := range webhooks {
		if fields, ok := webhook.(map[string]any); ok {
			fields["clientConfig"] = map[string]any{"url": url}
		}
	}

	return unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
}

// applyIstiodEndpoint says where istiod's Service leads.
func (c *Cluster) applyIstiodEndpoint(ctx context.Context) error {
	service, err := c.Kubernetes.CoreV1().Services(IstioNamespace).Get(ctx, "istiod", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read istiod's Service: %w", err)
	}

	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "istiod-node", Namespace: IstioNamespace, Labels: map[string]string{discoveryv1.LabelServiceName: "istiod"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{c.listen.ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}

	for _, port := range service.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{
			Name: &port.Name, Port: new(targetPort(port)), Protocol: &port.Protocol,
		})
	}

	if _, err := c.Kubernetes.DiscoveryV1().EndpointSlices(IstioNamespace).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create istiod's EndpointSlice: %w", err)
	}

	return nil
}

func targetPort(port corev1.ServicePort) int32 {
	if number := port.TargetPort.IntVal; number != 0 {
		return number
	}

	return port.Port
}

// webhookReady reports whether the API server asks istiod and istiod answers: an object that it must refuse is refused.
func (c *Cluster) webhookReady(ctx context.Context) error {
	bad := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
		"metadata": map[string]any{"name": "refused", "namespace": "default"},
		"spec":     map[string]any{"hosts": []any{"a"}}, // it routes nothing
	}}

	err := c.create(ctx, bad)
	if err != nil && strings.Contains(err.Error(), "validation.istio.io") {
		return nil
	}

	if err == nil {
		return errors.New("the API server does not ask istiod yet")
	}

	return err
}
