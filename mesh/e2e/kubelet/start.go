package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waitingError is why a container could not be created; its reason is one of Kubernetes' words.
type waitingError struct {
	reason string
	err    error
}

func (e *waitingError) Error() string { return e.err.Error() }
func (e *waitingError) Unwrap() error { return e.err }

// start creates the container's next process. The waiting status says what is wrong where it can't.
func (c *container) start(ctx context.Context) (*process, error) {
	started, err := c.tryStart(ctx)
	if err == nil {
		c.noteStart(started)

		return started, nil
	}

	reason := "RunContainerError"
	if waiting, ok := errors.AsType[*waitingError](err); ok {
		reason = waiting.reason
	}

	c.set(func(status *corev1.ContainerStatus) {
		if status.State.Terminated != nil {
			status.LastTerminationState = status.State
		}

		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: err.Error()}}
	})
	c.pod.event(corev1.EventTypeWarning, "Failed", "Error: "+err.Error())

	return nil, err
}

func (c *container) tryStart(ctx context.Context) (*process, error) {
	image, err := c.pod.k.resolveImage(c.spec.Image)
	if err != nil {
		return nil, &waitingError{"ErrImagePull", err}
	}

	env, err := c.environment(ctx)
	if err != nil {
		return nil, &waitingError{"CreateContainerConfigError", err}
	}

	spec, err := c.containerSpec(image, env)
	if err != nil {
		return nil, &waitingError{"CreateContainerConfigError", err}
	}

	attempt := c.countStart()

	log, err := c.openLog(attempt)
	if err != nil {
		return nil, &waitingError{"CreateContainerError", err}
	}

	return c.pod.launch(spec, log)
}

// countStart counts a start; all but the first are restarts.
func (c *container) countStart() (attempt int32) {
	c.set(func(status *corev1.ContainerStatus) {
		if status.State.Terminated != nil || status.LastTerminationState.Terminated != nil {
			status.RestartCount++
		}

		attempt = status.RestartCount
	})

	return attempt
}

// logPath is where the output of a start is, as elsewhere under /var/log/pods.
func (c *container) logPath(attempt int32) string {
	return filepath.Join(c.pod.logs, c.spec.Name, strconv.Itoa(int(attempt))+".log")
}

func (c *container) openLog(attempt int32) (*logFile, error) {
	path := c.logPath(attempt)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the log's directory: %w", err)
	}

	return openLog(path)
}

// end is how the process ended, as Kubernetes says it.
func (p *process) end() corev1.ContainerStateTerminated {
	end := corev1.ContainerStateTerminated{
		ExitCode: p.exitCode, Signal: p.signal, StartedAt: metav1.NewTime(p.began), FinishedAt: metav1.NewTime(p.finished),
		Reason: "Completed", Message: p.problem,
	}

	switch {
	case p.problem != "":
		end.Reason = "StartError"
	case p.exitCode != 0:
		end.Reason = "Error"
	}

	return end
}
