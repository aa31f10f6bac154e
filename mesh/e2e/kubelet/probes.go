package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
	"k8s.io/utils/ptr"
)

// startProbes probes a process until the context ends. The others begin once the startup probe has succeeded.
func (c *container) startProbes(ctx context.Context, running *process) *sync.WaitGroup {
	var probes sync.WaitGroup

	probes.Go(func() {
		if c.spec.StartupProbe != nil && !c.waitStartup(ctx, running) {
			return
		}

		if c.spec.ReadinessProbe != nil {
			probes.Go(func() { c.probeReadiness(ctx) })
		}

		if c.spec.LivenessProbe != nil {
			probes.Go(func() { c.probeLiveness(ctx, running) })
		}
	})

	return &probes
}

// waitStartup probes until the container has started, or restarts it and says false.
func (c *container) waitStartup(ctx context.Context, running *process) bool {
	alive := c.probeUntil(ctx, "Startup", c.spec.StartupProbe, func(healthy bool) (stop bool) {
		if healthy {
			c.set(func(status *corev1.ContainerStatus) { status.Started = new(true) })
		}

		return true
	})
	if !alive && ctx.Err() == nil {
		c.event("Killing", "Container "+c.spec.Name+" failed startup probe, will be restarted")
		c.restart(running, c.spec.StartupProbe)
	}

	return alive && ctx.Err() == nil
}

func (c *container) probeReadiness(ctx context.Context) {
	c.probeUntil(ctx, "Readiness", c.spec.ReadinessProbe, func(healthy bool) (stop bool) {
		c.set(func(*corev1.ContainerStatus) { c.passing = healthy })

		return false
	})
}

func (c *container) probeLiveness(ctx context.Context, running *process) {
	alive := c.probeUntil(ctx, "Liveness", c.spec.LivenessProbe, func(healthy bool) (stop bool) { return !healthy })
	if !alive && ctx.Err() == nil {
		c.event("Killing", "Container "+c.spec.Name+" failed liveness probe, will be restarted")
		c.restart(running, c.spec.LivenessProbe)
	}
}

// probeUntil probes, and tells what the thresholds make of it each time that this changes, until the change stops it or
// the context ends. It returns what it told last.
func (c *container) probeUntil(ctx context.Context, kind string, spec *corev1.Probe, change func(healthy bool) (stop bool)) bool {
	if !sleep(ctx, time.Duration(spec.InitialDelaySeconds)*time.Second) {
		return false
	}

	var (
		healthy, known bool
		row            int32 // how often in a row the answer was the other one
		last           bool
	)

	for ctx.Err() == nil {
		problem := c.probe(ctx, spec)
		if ctx.Err() != nil {
			break
		}

		if problem != nil {
			c.event("Unhealthy", kind+" probe failed: "+problem.Error())
		}

		if good := problem == nil; row == 0 || good != last {
			last, row = good, 1
		} else {
			row++
		}

		threshold := spec.FailureThreshold
		if last {
			threshold = spec.SuccessThreshold
		}

		if row >= max(threshold, 1) && (!known || healthy != last) {
			healthy, known = last, true

			if change(healthy) {
				return healthy
			}
		}

		sleep(ctx, time.Duration(max(spec.PeriodSeconds, 1))*time.Second)
	}

	return healthy
}

// probe asks once. The error says what is wrong.
func (c *container) probe(ctx context.Context, spec *corev1.Probe) error {
	timeout := time.Duration(max(spec.TimeoutSeconds, 1)) * time.Second

	if spec.Exec != nil {
		return c.probeExec(ctx, spec.Exec.Command, timeout)
	}

	result, output, err := c.probeNetwork(spec, c.pod.network().ip, timeout)
	if err != nil {
		return err
	}

	if result != probe.Success && result != probe.Warning {
		return errors.New(output)
	}

	return nil
}

func (c *container) probeNetwork(spec *corev1.Probe, ip string, timeout time.Duration) (probe.Result, string, error) {
	switch {
	case spec.HTTPGet != nil:
		request, err := httpprobe.NewRequestForHTTPGetAction(spec.HTTPGet, c.spec, ip, "probe")
		if err != nil {
			return probe.Failure, "", err
		}

		return httpprobe.New(false).Probe(request, timeout)
	case spec.TCPSocket != nil:
		port, err := c.portOf(spec.TCPSocket.Port)
		if err != nil {
			return probe.Failure, "", err
		}

		return tcpprobe.New().Probe(orElse(spec.TCPSocket.Host, ip), port, timeout)
	case spec.GRPC != nil:
		return grpcprobe.New().Probe(ip, ptr.Deref(spec.GRPC.Service, ""), int(spec.GRPC.Port), timeout)
	default:
		return probe.Failure, "", errors.New("this kind of probe is not supported")
	}
}

func (c *container) probeExec(ctx context.Context, argv []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var output bytes.Buffer
	if err := c.exec(ctx, argv, streams{out: &output, err: &output}); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(output.String()))
	}

	return nil
}

// portOf is a port by number, or by the name that the container's spec gives it.
func (c *container) portOf(port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}

	for _, own := range c.spec.Ports {
		if own.Name == port.StrVal {
			return int(own.ContainerPort), nil
		}
	}

	number, err := strconv.Atoi(port.StrVal)
	if err != nil {
		return 0, fmt.Errorf("container %s has no port %q", c.spec.Name, port.StrVal)
	}

	return number, nil
}

func (c *container) event(reason, message string) {
	c.pod.event(corev1.EventTypeWarning, reason, message)
}

// sleep waits, and says false if the context has ended.
func sleep(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
