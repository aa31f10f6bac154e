package kubelet

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/logs"
	podapi "k8s.io/kubernetes/pkg/apis/core/v1"
)

// serveLogs serves what kubectl logs asks for: the current start's output, or with previous the one before.
func (k *Kubelet) serveLogs(w http.ResponseWriter, r *http.Request) {
	container, err := k.container(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)

		return
	}

	options := &corev1.PodLogOptions{}
	query := r.URL.Query()

	if err := podapi.Convert_url_Values_To_v1_PodLogOptions(&query, options, nil); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}

	path := container.currentLog(options.Previous)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		http.Error(w, "container "+container.spec.Name+" is waiting to start: there is no log", http.StatusBadRequest)

		return
	}

	w.Header().Set("Transfer-Encoding", "chunked")

	output := flushing{w, http.NewResponseController(w)}

	_ = readLog(r.Context(), path, container, options, output) // the client sees where it ends
}

func readLog(ctx context.Context, path string, container *container, options *corev1.PodLogOptions, to io.Writer) error {
	stderr := to

	if options.Stream != nil && *options.Stream == corev1.LogStreamStdout {
		stderr = io.Discard
	}

	if options.Stream != nil && *options.Stream == corev1.LogStreamStderr {
		to = io.Discard
	}

	return logs.ReadLogs(ctx, path, "", logOptions(options), alive{container: container}, to, stderr)
}

func logOptions(asked *corev1.PodLogOptions) *logs.LogOptions {
	options := &logs.LogOptions{
		TailLines: asked.TailLines, LimitBytes: asked.LimitBytes, Follow: asked.Follow, Timestamp: asked.Timestamps,
	}

	switch {
	case asked.SinceSeconds != nil:
		options.Since = time.Now().Add(-time.Duration(*asked.SinceSeconds) * time.Second)
	case asked.SinceTime != nil:
		options.Since = asked.SinceTime.Time
	}

	return options
}

// currentLog is the path of the log of the container's last start, or of the one before.
func (c *container) currentLog(previous bool) string {
	c.pod.mu.Lock()
	attempt := c.status.RestartCount
	c.pod.mu.Unlock()

	if previous {
		attempt--
	}

	return c.logPath(attempt)
}

// alive tells the reader of a log whether more may come.
type alive struct {
	internalapi.RuntimeService // of which nothing else is asked

	container *container
}

// ContainerStatus reports whether the container has a process.
func (a alive) ContainerStatus(context.Context, string, bool) (*runtimeapi.ContainerStatusResponse, error) {
	a.container.pod.mu.Lock()
	defer a.container.pod.mu.Unlock()

	state := runtimeapi.ContainerState_CONTAINER_EXITED
	if a.container.process != nil {
		state = runtimeapi.ContainerState_CONTAINER_RUNNING
	}

	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: state}}, nil
}

// flushing sends each line when it is written.
type flushing struct {
	w       io.Writer
	control *http.ResponseController
}

// Write writes and flushes.
func (f flushing) Write(data []byte) (int, error) {
	n, err := f.w.Write(data)
	if err != nil {
		return n, err
	}

	return n, f.control.Flush()
}
