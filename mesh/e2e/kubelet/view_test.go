package kubelet_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
data: {COLOUR: green, SHAPE: round}
---
apiVersion: v1
kind: Secret
metadata: {name: secrets, namespace: NAMESPACE}
stringData: {password: hush}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NAMESPACE, labels: {version: v7}}
spec:
  containers:
  - name: main
    image: testprogram
    args: [-serve, -write, $(WHERE)]
    resources: {limits: {cpu: "2", memory: 64Mi}}
    envFrom: [{prefix: MAP_, configMapRef: {name: settings}}]
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: COLOUR}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: secrets, key: password}}}
    - {name: ABSENT, valueFrom: {secretKeyRef: {name: none, key: none, optional: true}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: VERSION, valueFrom: {fieldRef: {fieldPath: "metadata.labels['version']"}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: WHERE, value: /tmp/$(COLOUR)-$$(COLOUR)}
`)

	pod := ready(t, ns, "one")

	var env []string
	if err := json.Unmarshal([]byte(ask(t, pod, "/env")), &env); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{
		"MAP_COLOUR=green", "MAP_SHAPE=round", "COLOUR=green", "PASSWORD=hush", "IP=" + pod.Status.PodIP, "VERSION=v7",
		"MEMORY=67108864", "WHERE=/tmp/green-$(COLOUR)", "KUBERNETES_SERVICE_HOST=10.50.0.1",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}

	if slices.ContainsFunc(env, func(variable string) bool { return strings.HasPrefix(variable, "ABSENT=") }) {
		t.Errorf("an optional variable that is not there is in %q", env)
	}

	file(t, pod, "/tmp/green-$(COLOUR)")
}

func TestVolumes(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, settings("green")+`
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NAMESPACE, labels: {version: v7}}
spec:
  securityContext: {runAsUser: 1234, runAsGroup: 1234, runAsNonRoot: true, fsGroup: 77}
  containers:
  - name: main
    image: testprogram
    command: [/testprogram]
    args: [-serve]
    securityContext: {readOnlyRootFilesystem: true}
    volumeMounts:
    - {name: settings, mountPath: /etc/settings}
    - {name: settings, mountPath: /etc/one.txt, subPath: colour}
    - {name: mixed, mountPath: /var/run/mixed}
    - {name: scratch, mountPath: /scratch}
    - {name: scratch, mountPath: /sub, subPath: below}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: scratch, emptyDir: {}}
  - name: mixed
    projected:
      sources:
      - serviceAccountToken: {audience: istio-ca, path: istio-token, expirationSeconds: 600}
      - downwardAPI: {items: [{path: version, fieldRef: {fieldPath: "metadata.labels['version']"}}]}
      - configMap: {name: istio-ca-root-cert, items: [{key: root-cert.pem, path: root.pem}]}
`)

	pod := ready(t, ns, "one")

	if id := ask(t, pod, "/id"); id != "pid=1 uid=1234 gid=1234 host=one" {
		t.Errorf("the container is %s", id)
	}

	for path, want := range map[string]string{
		"/etc/settings/colour": "green", "/etc/one.txt": "green", "/var/run/mixed/version": "v7",
	} {
		if got := file(t, pod, path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}

	if token := file(t, pod, "/var/run/mixed/istio-token"); strings.Count(token, ".") != 2 {
		t.Errorf("the token is %q", token)
	}

	if root := file(t, pod, "/var/run/mixed/root.pem"); !strings.Contains(root, "BEGIN CERTIFICATE") {
		t.Errorf("istiod's root is %q", root)
	}

	for path, writable := range map[string]bool{
		"/scratch/x": true, "/sub/y": true, "/etc/settings/colour": false, "/x": false, "/usr/x": false, "/var/run/mixed/version": false,
	} {
		if _, err := tryAsk(t, pod, "/write?path="+url.QueryEscape(path)); (err == nil) != writable {
			t.Errorf("writing %s: %v", path, err)
		}
	}

	file(t, pod, "/scratch/below/y")

	apply(t, ns, settings("blue"))
	eventually(t, "the ConfigMap's new value", func() (bool, string) {
		content := file(t, pod, "/etc/settings/colour")

		return content == "blue", content
	})

	if got := file(t, pod, "/etc/one.txt"); got != "green" {
		t.Errorf("a subPath follows its ConfigMap to %q", got)
	}
}

// settings is a ConfigMap.
func settings(colour string) string {
	return `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
data: {colour: ` + colour + `}
`
}

func TestWaitsForItsVolumes(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NAMESPACE}
spec:
  containers:
  - {name: main, image: testprogram, args: [-serve], volumeMounts: [{name: settings, mountPath: /settings}]}
  volumes: [{name: settings, configMap: {name: settings}}]
`)

	eventually(t, "an event says what is missing", func() (bool, string) {
		said := events(t, ns)

		return strings.Contains(said, `configmaps "settings" not found`), said
	})

	apply(t, ns, settings("green"))

	if got := file(t, ready(t, ns, "one"), "/settings/colour"); got != "green" {
		t.Errorf("the file is %q", got)
	}
}
