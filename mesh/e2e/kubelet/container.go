package kubelet

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// role is what a container is in its Pod.
type role int

const (
	roleMain    role = iota
	roleInit         // runs once, to its success
	roleSidecar      // an init container that stays
)

// backoffReset is how long a container must have run for its crashes to be forgotten.
const backoffReset = 10 * time.Minute

// container is one container of a Pod, over all its starts.
type container struct {
	pod  *pod
	spec *corev1.Container
	role role

	// A sidecar's own life.
	aside       sync.WaitGroup
	stopped     context.Context
	cancelAside context.CancelFunc

	// Guarded by the Pod's mutex.
	status  corev1.ContainerStatus
	over    bool // it will not be started again
	process *process
	news    chan struct{} // closed and made anew with every change of the status
	passing bool          // what the readiness probe says
}

func newContainer(p *pod, spec *corev1.Container, role role) *container {
	c := &container{pod: p, spec: spec, role: role, news: make(chan struct{})}
	c.status = corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, ImageID: "process://" + spec.Image,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
	}
	c.stopped, c.cancelAside = context.WithCancel(p.k.ctx)

	if role == roleInit || len(p.inits) == 0 && role == roleSidecar {
		c.status.State.Waiting.Reason = "ContainerCreating"
	}

	return c
}

// set changes the status and has it reported.
func (c *container) set(change func(*corev1.ContainerStatus)) {
	c.pod.mu.Lock()
	change(&c.status)
	c.status.Ready = c.judgeReady()
	close(c.news)
	c.news = make(chan struct{})
	c.pod.mu.Unlock()

	c.pod.changed()
}

// judgeReady is Kubernetes' definition of a ready container. The lock is held.
func (c *container) judgeReady() bool {
	if c.role == roleInit {
		return c.succeeded()
	}

	return c.status.State.Running != nil && c.started() && c.passing
}

// started and succeeded look at the status. The lock is held.
func (c *container) started() bool { return c.status.Started != nil && *c.status.Started }

func (c *container) succeeded() bool {
	return c.status.State.Terminated != nil && c.status.State.Terminated.ExitCode == 0
}

// runToSuccess runs an init container until it has succeeded. False says that the Pod ends instead.
func (c *container) runToSuccess(stop context.Context) bool {
	c.keep(stop)

	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()

	return stop.Err() == nil && c.succeeded()
}

// keepAside begins to keep a sidecar, until stopAside.
func (c *container) keepAside() { c.aside.Go(func() { c.keep(c.stopped) }) }

func (c *container) stopAside() {
	c.cancelAside()
	c.aside.Wait()
}

// waitStarted waits until a sidecar's startup probe has succeeded, or says false if the Pod ends before.
func (c *container) waitStarted(stop context.Context) bool {
	for {
		c.pod.mu.Lock()
		started, news := c.started(), c.news
		c.pod.mu.Unlock()

		if started {
			return true
		}

		select {
		case <-stop.Done():
			return false
		case <-news:
		}
	}
}

// keep runs the container, again and again as its restart policy says, until it is over or to be stopped.
func (c *container) keep(stop context.Context) {
	backoff := newBackoff(c.pod.k.options.MaxBackoff)

	for stop.Err() == nil {
		began := time.Now()

		exit, err := c.runOnce(stop)
		if stop.Err() != nil || err == nil && !c.restarts(exit) {
			break
		}

		if time.Since(began) > backoffReset {
			backoff.reset()
		}

		c.waitBackoff(stop, backoff.next(), err)
	}

	c.pod.mu.Lock()
	c.over = true
	c.pod.mu.Unlock()

	c.pod.changed()
}

// restarts says whether a container that ended is started again.
func (c *container) restarts(exit int32) bool {
	if c.role == roleSidecar {
		return true
	}

	switch c.pod.object().Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exit != 0
	case corev1.RestartPolicyAlways:
	}

	return c.role == roleMain || exit != 0
}

// waitBackoff waits before the next start, and says why.
func (c *container) waitBackoff(stop context.Context, wait time.Duration, problem error) {
	if problem == nil {
		c.set(func(status *corev1.ContainerStatus) {
			status.LastTerminationState = status.State
			status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason:  "CrashLoopBackOff",
				Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", wait, c.spec.Name, c.pod.name, c.pod.namespace, c.pod.uid),
			}}
			status.Started = new(false)
		})
		c.pod.event(corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container "+c.spec.Name)
	}

	select {
	case <-stop.Done():
		c.set(func(status *corev1.ContainerStatus) { c.fallBack(status) })
	case <-time.After(wait):
	}
}

// fallBack says how a container ended that was to be started again, and now is not.
func (c *container) fallBack(status *corev1.ContainerStatus) {
	if status.State.Waiting != nil && status.LastTerminationState.Terminated != nil {
		status.State, status.LastTerminationState = status.LastTerminationState, corev1.ContainerState{}
	}
}

// runOnce starts the container once and waits for its end. The error says why it could not be created; an end is none.
func (c *container) runOnce(stop context.Context) (exit int32, err error) {
	started, err := c.start(stop)
	if err != nil {
		return 0, err
	}

	probing, stopProbes := context.WithCancel(c.pod.k.ctx)
	defer stopProbes()

	probes := c.startProbes(probing, started)
	c.postStart(started)

	select {
	case <-started.done:
	case <-stop.Done():
		c.stop(started)
	}

	stopProbes()
	probes.Wait()

	return c.noteEnd(started), nil
}

// noteEnd takes the end of a process into the status.
func (c *container) noteEnd(ended *process) int32 {
	end := ended.end()
	end.ContainerID = c.containerID(ended)

	c.pod.mu.Lock()
	c.process = nil
	c.pod.mu.Unlock()

	c.set(func(status *corev1.ContainerStatus) {
		status.State = corev1.ContainerState{Terminated: &end}
		status.Started = new(false)
		c.passing = false
	})

	return end.ExitCode
}

func (c *container) containerID(of *process) string {
	return fmt.Sprintf("process://%d-%d", of.pid, of.began.UnixNano())
}

// noteStart takes the start of a process into the status.
func (c *container) noteStart(started *process) {
	c.pod.mu.Lock()
	c.process = started
	c.passing = c.spec.ReadinessProbe == nil
	c.pod.mu.Unlock()

	c.set(func(status *corev1.ContainerStatus) {
		if status.State.Terminated != nil {
			status.LastTerminationState = status.State
		}

		status.ContainerID = c.containerID(started)
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started.began)}}
		status.Started = new(c.spec.StartupProbe == nil)
	})
	c.pod.event(corev1.EventTypeNormal, "Started", "Started container "+c.spec.Name)
}
