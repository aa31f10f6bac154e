package kubelet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// namespace is a new one, named after the test.
func namespace(t *testing.T) string {
	t.Helper()

	// A test that runs again must not meet its old namespace, which takes a while to go.
	name := fmt.Sprintf("%s-%d", strings.ToLower(t.Name()), time.Now().UnixMilli())
	if err := shared.Namespace(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		// Without this a namespace's Pods would go on into other tests.
		err := shared.Kubernetes.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})

	return name
}

// apply applies manifests to the namespace: in each, NAMESPACE is its name.
func apply(t *testing.T, namespace, manifests string) {
	t.Helper()

	if err := shared.Apply(t.Context(), strings.ReplaceAll(manifests, "NAMESPACE", namespace)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()

	pod, err := shared.Kubernetes.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	return pod
}

// until waits until the Pod is as the function wants it.
func until(t *testing.T, namespace, name, what string, want func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()

	var pod *corev1.Pod

	eventually(t, what, func() (bool, string) {
		pod = get(t, namespace, name)

		return want(pod), fmt.Sprintf("%+v", pod.Status)
	})

	return pod
}

func eventually(t *testing.T, what string, holds func() (bool, string)) {
	t.Helper()

	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)

	defer tick.Stop()

	for {
		ok, seen := holds()
		if ok {
			return
		}

		select {
		case <-deadline:
			t.Fatalf("%s: not within %s; last seen: %s", what, patience, seen)
		case <-tick.C:
		}
	}
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}

	return false
}

func ready(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()

	return until(t, namespace, name, name+" is ready", isReady)
}

// ask asks the test program in the Pod, once it listens: without a readiness probe a Pod is ready before.
func ask(t *testing.T, pod *corev1.Pod, path string) string {
	t.Helper()

	var body string

	eventually(t, "an answer", func() (bool, string) {
		var err error

		body, err = tryAsk(t, pod, path)
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}

		return err == nil, fmt.Sprint(err)
	})

	return body
}

func tryAsk(t *testing.T, pod *corev1.Pod, path string) (string, error) {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+pod.Status.PodIP+":8080"+path, nil)
	if err != nil {
		return "", err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()

	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}

	return string(body), err
}

// file is a file's content as the Pod's container sees it.
func file(t *testing.T, pod *corev1.Pod, path string) string {
	t.Helper()

	return ask(t, pod, "/file?path="+url.QueryEscape(path))
}

// main is the status of the Pod's container of that name.
func main(pod *corev1.Pod) corev1.ContainerStatus {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == "main" {
			return status
		}
	}

	return corev1.ContainerStatus{}
}

func remove(t *testing.T, namespace, name string) {
	t.Helper()

	if err := shared.Kubernetes.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, namespace, name string) {
	t.Helper()

	eventually(t, name+" is gone", func() (bool, string) {
		pod, err := shared.Kubernetes.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})

		return apierrors.IsNotFound(err), fmt.Sprintf("%+v %v", pod.Status, err)
	})
}

// events are all messages of the namespace's events.
func events(t *testing.T, namespace string) string {
	t.Helper()

	list, err := shared.Kubernetes.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}

	var said strings.Builder
	for _, event := range list.Items {
		said.WriteString(event.Message + "\n")
	}

	return said.String()
}
