package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
)

// runHook runs a lifecycle hook to its end.
func (c *container) runHook(ctx context.Context, hook *corev1.LifecycleHandler, running *process) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// A container that ends does not need the rest of its hook.
	go func() {
		select {
		case <-running.done:
			cancel()
		case <-ctx.Done():
		}
	}()

	switch {
	case hook.Exec != nil:
		var output bytes.Buffer
		if err := c.execIn(ctx, running, hook.Exec.Command, streams{out: &output, err: &output}); err != nil {
			return fmt.Errorf("hook %q: %w: %s", hook.Exec.Command, err, output.String())
		}
	case hook.HTTPGet != nil:
		return c.callHook(ctx, hook.HTTPGet)
	case hook.Sleep != nil:
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(hook.Sleep.Seconds) * time.Second):
		}
	default:
		return errors.New("this kind of hook is not supported")
	}

	return nil
}

func (c *container) callHook(ctx context.Context, action *corev1.HTTPGetAction) error {
	request, err := httpprobe.NewRequestForHTTPGetAction(action, c.spec, c.pod.network().ip, "lifecycle")
	if err != nil {
		return fmt.Errorf("hook: %w", err)
	}

	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("hook: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // its status is all that counts

	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("hook: %s answers %s", request.URL, response.Status)
	}

	return nil
}

// signalNamed is the signal of a name, or 0.
func signalNamed(name string) syscall.Signal { return unix.SignalNum(name) }
