// Package kubelet plays a Kubernetes node without a container runtime: a Pod's containers are processes of this machine.
//
// A Pod gets a network namespace with its own loopback and an address on the node's bridge. A container gets mount, process,
// host name and IPC namespaces: its root is a tmpfs with the host's system directories read only, its volumes where its
// volumeMounts say, and the executable that its image stands for at /usr/local/bin. Its user is runAsUser, or root. What
// it writes to standard output goes to a log that kubectl reads.
//
// Supported: init containers and sidecars (restartPolicy Always), env of every kind, volumes (configMap, secret, emptyDir,
// projected, downwardAPI, persistentVolumeClaim, hostPath) that follow their objects, probes (httpGet, tcpSocket, exec,
// grpc), lifecycle hooks, restarts with backoff, grace periods, conditions and events, logs, exec and port-forward.
// Not there: resource limits, images' own environment and users, Service environment variables, cluster IPs, CSI.
//
// An image is looked up in [Options.Images], first as it is written, then by its name without registry and tag; an image
// host/NAME is the host's program NAME. Anything else waits with ErrImagePull, as it would elsewhere.
//
// The process that calls this must live in the node's network namespace, with the bridge [Bridge] in it: package cluster
// sees to that. Containers end with the node's process namespace, so nothing is left of a kubelet that died.
package kubelet
