package kubelet

import (
	"fmt"
	"syscall"
)

// PID is the id, on the node, of the first process of a Pod's container.
func (k *Kubelet) PID(namespace, pod, container string) (int, error) {
	running, err := k.process(namespace, pod, container)
	if err != nil {
		return 0, err
	}

	return running.pid, nil
}

// Kill ends a container by SIGKILL; its restart policy says what comes next.
func (k *Kubelet) Kill(namespace, pod, container string) error {
	return k.signal(namespace, pod, container, syscall.SIGKILL)
}

// Pause freezes a container's first process.
func (k *Kubelet) Pause(namespace, pod, container string) error {
	return k.signal(namespace, pod, container, syscall.SIGSTOP)
}

// Resume ends a [Kubelet.Pause].
func (k *Kubelet) Resume(namespace, pod, container string) error {
	return k.signal(namespace, pod, container, syscall.SIGCONT)
}

func (k *Kubelet) signal(namespace, pod, container string, signal syscall.Signal) error {
	running, err := k.process(namespace, pod, container)
	if err != nil {
		return err
	}

	running.kill(signal)

	return nil
}

func (k *Kubelet) process(namespace, pod, container string) (*process, error) {
	found, err := k.container(namespace, pod, container)
	if err != nil {
		return nil, err
	}

	found.pod.mu.Lock()
	defer found.pod.mu.Unlock()

	if found.process == nil {
		return nil, fmt.Errorf("container %s of %s/%s: %w", container, namespace, pod, errNotRunning)
	}

	return found.process, nil
}

// container finds a container of a Pod that runs here; an empty name means the first.
func (k *Kubelet) container(namespace, name, container string) (*container, error) {
	pod, err := k.find(namespace, name)
	if err != nil {
		return nil, err
	}

	for _, candidate := range append(append(pod.mains[:0:0], pod.mains...), pod.inits...) {
		if container == "" || candidate.spec.Name == container {
			return candidate, nil
		}
	}

	return nil, fmt.Errorf("pod %s/%s has no container %s", namespace, name, container)
}

// Network runs the function on a thread that is in the Pod's network: what it dials and listens on is the Pod's, as far
// as that thread does it.
func (k *Kubelet) Network(namespace, pod string, call func() error) error {
	found, err := k.find(namespace, pod)
	if err != nil {
		return err
	}

	sandbox := found.network()
	if sandbox == nil {
		return fmt.Errorf("pod %s/%s has no network yet", namespace, pod)
	}

	return sandbox.inside(call)
}
