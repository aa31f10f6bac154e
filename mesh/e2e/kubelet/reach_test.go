package kubelet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

// talker listens on its own loopback, where only its own programs and forwarded ports reach it.
const talker = `
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NAMESPACE}
spec:
  containers:
  - name: main
    image: testprogram
    args: [-serve, -listen, "127.0.0.1:8080"]
    readinessProbe: {exec: {command: [/bin/bash, -c, ": > /dev/tcp/127.0.0.1/8080"]}, periodSeconds: 1}
`

func TestLogs(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, talker)
	ready(t, ns, "one")

	pods := shared.Kubernetes.CoreV1().Pods(ns)

	eventually(t, "the log", func() (bool, string) {
		said, err := pods.GetLogs("one", &corev1.PodLogOptions{}).DoRaw(t.Context())

		return err == nil && string(said) == "arguments [\"-serve\" \"-listen\" \"127.0.0.1:8080\"]\nserving\n", string(said)
	})

	tail := int64(1)

	said, err := pods.GetLogs("one", &corev1.PodLogOptions{TailLines: &tail, Timestamps: true}).DoRaw(t.Context())
	if err != nil || !strings.HasSuffix(string(said), "Z serving\n") || strings.Count(string(said), "\n") != 1 {
		t.Errorf("the last line is %q, %v", said, err)
	}

	following, err := pods.GetLogs("one", &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer following.Close()

	remove(t, ns, "one")

	if said, err := io.ReadAll(following); err != nil || !strings.HasSuffix(string(said), "told to stop\n") {
		t.Errorf("to its end the log says %q, %v", said, err)
	}
}

func TestExec(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, talker)
	ready(t, ns, "one")

	out, err := execute(t, ns, "input", "/bin/sh", "-c", "cat; hostname; exit 3")
	if out != "inputone\n" {
		t.Errorf("it says %q", out)
	}

	if exit, ok := errors.AsType[utilexec.CodeExitError](err); !ok || exit.Code != 3 {
		t.Errorf("it ends with %v", err)
	}

	if _, err := execute(t, ns, "", "no-such-program"); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("what is not there ends with %v", err)
	}
}

func execute(t *testing.T, namespace, input string, argv ...string) (string, error) {
	t.Helper()

	request := shared.Kubernetes.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name("one").
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{Command: argv, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)

	executor, err := remotecommand.NewWebSocketExecutor(shared.Config(), http.MethodGet, request.URL().String())
	if err != nil {
		t.Fatal(err)
	}

	var out, errs bytes.Buffer

	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errs})

	return out.String() + errs.String(), err
}

func TestPortForward(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, talker)
	ready(t, ns, "one")

	tripper, upgrader, err := spdy.RoundTripperFor(shared.Config())
	if err != nil {
		t.Fatal(err)
	}

	url := shared.Kubernetes.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name("one").SubResource("portforward").URL()
	stop, up := make(chan struct{}), make(chan struct{})

	forwarder, err := portforward.NewOnAddresses(
		spdy.NewDialer(upgrader, &http.Client{Transport: tripper}, http.MethodPost, url), []string{"127.0.0.1"}, []string{"0:8080"},
		stop, up, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}

	done := make(chan error, 1)

	go func() { done <- forwarder.ForwardPorts() }()

	<-up

	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}

	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/id", ports[0].Local))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "host=one") {
		t.Errorf("through the forwarded port: %q, %v", body, err)
	}

	close(stop)

	if err := <-done; err != nil {
		t.Error(err)
	}
}
