package conformance_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

// onIstiod is istiod, and the workloads as Pods.
type onIstiod struct {
	api  client.Client
	pods map[string]string // addresses by name
}

const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: %[1]s
  namespace: %[2]s
  labels: {app: %[3]s, revision: "%[4]s", security.istio.io/tlsMode: istio}
spec:
  serviceAccountName: %[3]s
  terminationGracePeriodSeconds: 1
  containers:
  - name: echo
    image: echo
    args:
    - -name=%[1]s
    - -namespace=%[2]s
    - -account=%[3]s
    - -revision=%[4]s
    - -labels=app=%[3]s,revision=%[4]s
    - -discovery=istiod.istio-system.svc:15012
    - -directory=/state/certificates
    - -token=/token/istio-token
    - -root=/root-cert/root-cert.pem
    - -serve=%[5]s
    - -control=:8081
    env:
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: GRPC_XDS_BOOTSTRAP, value: /state/xds.json}
    readinessProbe: {httpGet: {path: /ready, port: 8081}, periodSeconds: 1, failureThreshold: 1}
    volumeMounts:
    - {name: state, mountPath: /state}
    - {name: token, mountPath: /token}
    - {name: root, mountPath: /root-cert}
  volumes:
  - {name: state, emptyDir: {medium: Memory}}
  - {name: root, configMap: {name: istio-ca-root-cert}}
  - name: token
    projected: {sources: [{serviceAccountToken: {audience: istio-ca, path: istio-token}}]}
`

const service = `
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: conform}
spec:
  selector: {app: echo}
  ports: [{port: 9000, name: grpc, appProtocol: grpc}]
`

func startIstiod(t *testing.T) *onIstiod {
	t.Helper()

	config := shared.Config()
	config.WarningHandler = rest.NoWarnings{} // some objects are written to see what comes of them
	scheme, err := cluster.Scheme()
	must(t, err)

	subject := &onIstiod{pods: map[string]string{}}
	subject.api, err = client.New(config, client.Options{Scheme: scheme})
	must(t, err)

	for _, process := range processes() {
		must(t, shared.Namespace(t.Context(), process.namespace, nil))

		_, err := shared.ConfigFor(t.Context(), process.namespace, process.account) // it makes the account
		must(t, err)

		address := ""
		if process.revision != "" {
			address = "$(POD_IP):9000"
		}

		must(t, shared.Apply(t.Context(), fmt.Sprintf(pod, process.name, process.namespace, process.account, process.revision, address)))
	}

	must(t, shared.Apply(t.Context(), service))

	for _, process := range processes() {
		subject.pods[process.name] = readyPod(t, process.namespace, process.name)
	}

	return subject
}

// readyPod waits for a Pod, and returns its address.
func readyPod(t *testing.T, namespace, name string) string {
	t.Helper()

	for ctx := t.Context(); ; {
		pod := &corev1.Pod{}
		must(t, shared.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod))

		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return pod.Status.PodIP
			}
		}

		select {
		case <-ctx.Done():
			t.Fatalf("pod %s is not ready: %+v", name, pod.Status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (*onIstiod) String() string { return "istiod" }

func (s *onIstiod) objects() client.Client { return s.api }

func (s *onIstiod) control(process string) string { return s.pods[process] + ":8081" }

func (s *onIstiod) address(process string) string { return s.pods[process] + ":9000" }

// ready has the probe hear it.
func (s *onIstiod) ready(ctx context.Context, server string, ready bool) error {
	return tell(ctx, http.MethodPut, fmt.Sprintf("http://%s/ready?value=%t", s.control(server), ready))
}
