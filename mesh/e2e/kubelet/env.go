package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresource "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
	"k8s.io/utils/ptr"
)

// containerPath is where a container's programs are, as in most images.
const containerPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the container's, as its env and envFrom say.
func (c *container) environment(ctx context.Context) (map[string]string, error) {
	host, port, err := net.SplitHostPort(c.pod.k.options.APIServer)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}

	env := map[string]string{
		"PATH": containerPath, "HOME": "/", "HOSTNAME": c.pod.hostname(),
		"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBERNETES_SERVICE_PORT_HTTPS": port,
	}

	for _, source := range c.spec.EnvFrom {
		if err := c.addSource(ctx, env, source); err != nil {
			return nil, err
		}
	}

	for _, variable := range c.spec.Env {
		value, known, err := c.value(ctx, env, variable)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", variable.Name, err)
		}

		if known {
			env[variable.Name] = value
		}
	}

	return env, nil
}

// addSource adds all keys of a ConfigMap or Secret.
func (c *container) addSource(ctx context.Context, env map[string]string, source corev1.EnvFromSource) error {
	var (
		data map[string]string
		err  error
	)

	switch {
	case source.ConfigMapRef != nil:
		data, err = c.pod.configMap(ctx, source.ConfigMapRef.Name, source.ConfigMapRef.Optional)
	case source.SecretRef != nil:
		data, err = c.pod.secret(ctx, source.SecretRef.Name, source.SecretRef.Optional)
	}

	for key, value := range data {
		env[source.Prefix+key] = value
	}

	return err
}

// value is one variable's value; an optional one that is not there is not known.
func (c *container) value(ctx context.Context, env map[string]string, variable corev1.EnvVar) (value string, known bool, err error) {
	from := variable.ValueFrom

	switch {
	case from == nil:
		return expansion.Expand(variable.Value, expansion.MappingFuncFor(env)), true, nil
	case from.FieldRef != nil:
		value, err = c.pod.field(from.FieldRef.FieldPath)

		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = c.resource(from.ResourceFieldRef)

		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := c.pod.configMap(ctx, ref.Name, ref.Optional)

		return pick(data, err, "configmap", ref.Name, ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := c.pod.secret(ctx, ref.Name, ref.Optional)

		return pick(data, err, "secret", ref.Name, ref.Key, ref.Optional)
	default:
		return "", false, errors.New("this kind of valueFrom is not supported")
	}
}

func pick(data map[string]string, err error, kind, name, key string, optional *bool) (value string, known bool, _ error) {
	value, known = data[key]
	if err == nil && !known && !ptr.Deref(optional, false) {
		err = fmt.Errorf("couldn't find key %s in %s %s", key, kind, name)
	}

	return value, known, err
}

// field is a field of the Pod, with what the node knows better than the API server.
func (p *pod) field(path string) (string, error) {
	ip := p.network().ip

	switch path {
	case "status.podIP", "status.podIPs":
		return ip, nil
	case "status.hostIP", "status.hostIPs":
		return p.k.options.NodeIP, nil
	case "spec.nodeName":
		return p.k.options.NodeName, nil
	case "spec.serviceAccountName":
		return p.object().Spec.ServiceAccountName, nil
	}

	value, err := fieldpath.ExtractFieldPathAsString(p.object(), path)
	if err != nil {
		return "", fmt.Errorf("read field %s: %w", path, err)
	}

	return value, nil
}

// resource is a request or limit; a limit that is not set is the node's.
func (c *container) resource(ref *corev1.ResourceFieldSelector) (string, error) {
	room := c.pod.k.nodeStatus().Allocatable
	of := orElse(ref.ContainerName, c.spec.Name)

	value, err := podresource.ExtractResourceValueByContainerNameAndNodeAllocatable(ref, c.pod.object(), of, room)
	if err != nil {
		return "", fmt.Errorf("read resource %s: %w", ref.Resource, err)
	}

	return value, nil
}

// configMap is the data of a ConfigMap of the Pod's namespace, asked for anew: what has just been created must be seen.
func (p *pod) configMap(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := p.k.client.CoreV1().ConfigMaps(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && ptr.Deref(optional, false) {
		return map[string]string{}, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read configmap %s: %w", name, err)
	}

	return found.Data, nil
}

func (p *pod) secret(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := p.k.client.CoreV1().Secrets(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && ptr.Deref(optional, false) {
		return map[string]string{}, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}

	data := map[string]string{}
	for key, value := range found.Data {
		data[key] = string(value)
	}

	return data, nil
}

func (p *pod) hostname() string {
	object := p.object()
	if object.Spec.HostNetwork {
		return p.k.options.NodeName
	}

	name := object.Spec.Hostname
	if name == "" {
		name = object.Name
	}

	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}
