package kubelet_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestRunsInitsSidecarsAndContainersInOrder(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NAMESPACE}
spec:
  initContainers:
  - {name: first, image: testprogram, args: [-write, /shared/first], volumeMounts: [{name: shared, mountPath: /shared}]}
  - name: beside
    image: testprogram
    restartPolicy: Always
    args: [-write, /shared/beside, -serve, -listen, "127.0.0.1:7070"]
    startupProbe: {exec: {command: [cat, /shared/beside]}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - {name: second, image: testprogram, args: [-write, /shared/second], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: main
    image: registry.example/testprogram:v1
    args: [-serve, -write, /shared/main]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  volumes: [{name: shared, emptyDir: {medium: Memory}}]
`)

	pod := ready(t, ns, "one")

	if id := ask(t, pod, "/id"); id != "pid=1 uid=0 gid=0 host=one" {
		t.Errorf("the container is %s", id)
	}

	var order []string
	for _, name := range []string{"first", "beside", "second", "main"} {
		order = append(order, file(t, pod, "/shared/"+name))
	}

	if !slices.IsSorted(order) {
		t.Errorf("they ran at %v", order)
	}

	if _, err := tryAsk(t, &corev1.Pod{Status: corev1.PodStatus{PodIP: "127.0.0.1"}}, "/id"); err == nil {
		t.Error("a Pod's loopback is the node's")
	}

	if init := pod.Status.InitContainerStatuses; init[0].State.Terminated.Reason != "Completed" || init[1].State.Running == nil {
		t.Errorf("the init containers are %+v", init)
	}
}

func TestRestartsWithBackoff(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: crashes, namespace: NAMESPACE}
spec: {containers: [{name: main, image: testprogram, args: [-code, "3"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: killed, namespace: NAMESPACE}
spec: {containers: [{name: main, image: testprogram, args: [-serve]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: once, namespace: NAMESPACE}
spec: {restartPolicy: Never, containers: [{name: main, image: testprogram, args: [-code, "4"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unknown, namespace: NAMESPACE}
spec: {containers: [{name: main, image: nothing/like:this}]}
`)

	crashed := until(t, ns, "crashes", "two restarts", func(pod *corev1.Pod) bool {
		return main(pod).RestartCount >= 2 && main(pod).State.Waiting != nil
	})
	if status := main(crashed); status.State.Waiting.Reason != "CrashLoopBackOff" || status.LastTerminationState.Terminated.ExitCode != 3 {
		t.Errorf("a container that crashes is %+v", status)
	}

	ready(t, ns, "killed")

	if err := shared.Kubelet.Kill(ns, "killed", "main"); err != nil {
		t.Fatal(err)
	}

	killed := until(t, ns, "killed", "a restart", func(pod *corev1.Pod) bool {
		return main(pod).RestartCount == 1 && main(pod).State.Running != nil
	})
	if end := main(killed).LastTerminationState.Terminated; end.ExitCode != 137 || end.Signal != 9 || end.Reason != "Error" {
		t.Errorf("a container that was killed ended as %+v", end)
	}

	failed := until(t, ns, "once", "failure", func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed })
	if end := main(failed).State.Terminated; end.ExitCode != 4 || main(failed).RestartCount != 0 {
		t.Errorf("a container that runs once ended as %+v", end)
	}

	until(t, ns, "unknown", "no image", func(pod *corev1.Pod) bool {
		waiting := main(pod).State.Waiting

		return waiting != nil && waiting.Reason == "ErrImagePull" && strings.Contains(waiting.Message, "nothing/like:this")
	})
}

func TestProbes(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: reads, namespace: NAMESPACE}
spec:
  containers:
  - name: main
    image: testprogram
    args: [-serve]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: lives, namespace: NAMESPACE}
spec:
  containers:
  - name: main
    image: testprogram
    args: [-serve]
    ports: [{name: web, containerPort: 8080}]
    startupProbe: {tcpSocket: {port: web}, periodSeconds: 1}
    livenessProbe: {httpGet: {path: /healthz, port: web}, periodSeconds: 1, failureThreshold: 2}
`)

	pod := ready(t, ns, "reads")
	ask(t, pod, "/break")
	until(t, ns, "reads", "not ready", func(pod *corev1.Pod) bool { return !isReady(pod) && main(pod).RestartCount == 0 })
	ask(t, pod, "/mend")
	ready(t, ns, "reads")

	ask(t, ready(t, ns, "lives"), "/break")
	until(t, ns, "lives", "restarted, and ready again", func(pod *corev1.Pod) bool {
		return main(pod).RestartCount == 1 && isReady(pod)
	})
}

func TestEndsGracefully(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: polite, namespace: NAMESPACE}
spec:
  initContainers:
  - name: beside
    image: testprogram
    restartPolicy: Always
    args: [-serve, -listen, ":7070"]
  containers:
  - name: main
    image: testprogram
    args: [-serve, -linger, 700ms]
    lifecycle: {preStop: {exec: {command: [/bin/sh, -c, "echo hook > /kept/hook"]}}}
    volumeMounts: [{name: kept, mountPath: /kept}]
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]
---
apiVersion: v1
kind: Pod
metadata: {name: stubborn, namespace: NAMESPACE}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: host/sleep, args: ["1000"]}]
`)

	ready(t, ns, "polite")
	ready(t, ns, "stubborn")

	began := time.Now()
	remove(t, ns, "polite")
	gone(t, ns, "polite")

	if took := time.Since(began); took < 700*time.Millisecond || took > 10*time.Second {
		t.Errorf("a Pod that lingers 700ms of its 30s took %s", took)
	}

	began = time.Now()
	remove(t, ns, "stubborn")
	gone(t, ns, "stubborn")

	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("a Pod that ignores SIGTERM, with 1s, took %s", took)
	}

	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: after, namespace: NAMESPACE}
spec:
  containers:
  - {name: main, image: testprogram, args: [-serve], volumeMounts: [{name: kept, mountPath: /kept}]}
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]
`)

	after := ready(t, ns, "after")
	eventually(t, "the hook's file", func() (bool, string) {
		content, err := tryAsk(t, after, "/file?path=/kept/hook")

		return err == nil && content == "hook\n", content
	})
}
