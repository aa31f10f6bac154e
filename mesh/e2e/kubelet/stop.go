package kubelet

import (
	"context"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// leastGrace is what is left to a container whose preStop hook took all the time.
const leastGrace = 2 * time.Second

// stop ends a process: the preStop hook, SIGTERM, and SIGKILL when the Pod's time is over.
func (c *container) stop(running *process) {
	c.pod.event(corev1.EventTypeNormal, "Killing", "Stopping container "+c.spec.Name)
	c.endGracefully(c.pod.hard, running)
}

// restart ends a process that a probe has given up, within the grace of its spec, so that it is started again.
func (c *container) restart(running *process, probe *corev1.Probe) {
	seconds := int64(30)
	if own := c.pod.object().Spec.TerminationGracePeriodSeconds; own != nil {
		seconds = *own
	}

	if probe.TerminationGracePeriodSeconds != nil {
		seconds = *probe.TerminationGracePeriodSeconds
	}

	limit, cancel := context.WithTimeout(c.pod.hard, time.Duration(seconds)*time.Second)
	defer cancel()

	c.endGracefully(limit, running)
}

func (c *container) endGracefully(limit context.Context, running *process) {
	if hook := c.spec.Lifecycle; hook != nil && hook.PreStop != nil {
		if err := c.runHook(limit, hook.PreStop, running); err != nil {
			c.pod.event(corev1.EventTypeWarning, "FailedPreStopHook", err.Error())
		}

		if limit.Err() != nil && c.pod.k.ctx.Err() == nil {
			var cancel context.CancelFunc

			limit, cancel = context.WithTimeout(c.pod.k.ctx, leastGrace)
			defer cancel()
		}
	}

	if limit.Err() == nil {
		running.kill(c.stopSignal())
	}

	select {
	case <-running.done:
	case <-limit.Done():
		running.kill(syscall.SIGKILL)
		<-running.done
	}
}

// stopSignal is SIGTERM as a rule.
func (c *container) stopSignal() syscall.Signal {
	if hook := c.spec.Lifecycle; hook != nil && hook.StopSignal != nil {
		if signal := signalNamed(string(*hook.StopSignal)); signal != 0 {
			return signal
		}
	}

	return syscall.SIGTERM
}

// postStart runs the hook; a container whose hook fails is killed.
func (c *container) postStart(started *process) {
	hook := c.spec.Lifecycle
	if hook == nil || hook.PostStart == nil {
		return
	}

	if err := c.runHook(c.pod.hard, hook.PostStart, started); err != nil {
		c.pod.event(corev1.EventTypeWarning, "FailedPostStartHook", err.Error())
		started.kill(syscall.SIGKILL)
	}
}
