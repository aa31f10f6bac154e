package kubelet

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// pod is one Pod that runs. Its goroutine is run.
type pod struct {
	k               *Kubelet
	namespace, name string
	uid             types.UID
	dir, logs       string
	seen            atomic.Pointer[corev1.Pod] // as the API server had it last
	inits, mains    []*container
	began           metav1.Time

	// soft ends when the Pod is to end, hard when its time to do so is over.
	soft, hard         context.Context
	cancelSoft, expire context.CancelFunc

	dirty   chan struct{} // has the status reported
	refill  chan struct{} // has the volumes made anew
	tasks   sync.WaitGroup
	volumes map[string]*volume

	mu         sync.Mutex
	sandbox    *sandbox
	deadline   *time.Timer
	conditions map[corev1.PodConditionType]corev1.PodCondition
	waiting    string // why no container has been started yet
}

func newPod(k *Kubelet, seen *corev1.Pod) *pod {
	p := &pod{
		k: k, namespace: seen.Namespace, name: seen.Name, uid: seen.UID, began: metav1.Now(),
		dir:   filepath.Join(k.options.Dir, string(seen.UID)),
		logs:  filepath.Join(k.options.Logs, seen.Namespace+"_"+seen.Name+"_"+string(seen.UID)),
		dirty: make(chan struct{}, 1), refill: make(chan struct{}, 1),
		volumes: map[string]*volume{}, conditions: map[corev1.PodConditionType]corev1.PodCondition{},
	}
	p.seen.Store(seen)
	p.soft, p.cancelSoft = context.WithCancel(k.ctx)
	p.hard, p.expire = context.WithCancel(k.ctx)

	for i := range seen.Spec.InitContainers {
		spec := &seen.Spec.InitContainers[i]

		role := roleInit
		if ptr.Deref(spec.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways {
			role = roleSidecar
		}

		p.inits = append(p.inits, newContainer(p, spec, role))
	}

	for i := range seen.Spec.Containers {
		p.mains = append(p.mains, newContainer(p, &seen.Spec.Containers[i], roleMain))
	}

	if seen.DeletionTimestamp != nil {
		p.update(seen)
	}

	return p
}

func (p *pod) object() *corev1.Pod { return p.seen.Load() }

// update takes the Pod as the API server has it now.
func (p *pod) update(seen *corev1.Pod) {
	before := p.seen.Swap(seen)

	if seen.DeletionTimestamp != nil {
		p.terminate(time.Duration(ptr.Deref(seen.DeletionGracePeriodSeconds, 30)) * time.Second)
	}

	if before.Generation != seen.Generation || !sameText(before, seen) {
		p.refreshVolumes()
	}
}

// sameText reports whether what volumes may be made of is the same.
func sameText(a, b *corev1.Pod) bool {
	return equal(a.Labels, b.Labels) && equal(a.Annotations, b.Annotations)
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}

	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			return false
		}
	}

	return true
}

// terminate begins the Pod's end, which may take as long as the grace. Said again it can only become shorter.
func (p *pod) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.cancelSoft()

	if p.deadline != nil {
		p.deadline.Stop()
	}

	p.deadline = time.AfterFunc(grace, p.expire)
}

// run is the life of the Pod, to its removal from the API server if it is deleted.
func (p *pod) run() {
	reported := make(chan struct{})
	ctx, cancel := context.WithCancel(p.k.ctx)

	go func() {
		defer close(reported)

		p.report(ctx)
	}()

	if p.prepare() {
		p.tasks.Go(func() { p.keepVolumes(ctx) })
		p.runContainers()
	}

	p.stopSidecars()
	cancel()
	<-reported
	p.tasks.Wait()

	p.tidy()
	p.finish()
	p.expire()
}

// runContainers runs the init containers one after the other, then the others side by side until all have ended.
func (p *pod) runContainers() {
	for _, init := range p.inits {
		if init.role == roleSidecar {
			init.keepAside()

			if !init.waitStarted(p.soft) {
				return
			}

			continue
		}

		if !init.runToSuccess(p.soft) {
			return
		}
	}

	var running sync.WaitGroup

	for _, main := range p.mains {
		running.Go(func() { main.keep(p.soft) })
	}

	running.Wait()
}

// stopSidecars ends the sidecars in the reverse order of their start. Where nobody has set a deadline, because the Pod
// ends by itself, it is the one of its spec.
func (p *pod) stopSidecars() {
	if p.soft.Err() == nil {
		p.terminate(time.Duration(ptr.Deref(p.object().Spec.TerminationGracePeriodSeconds, 30)) * time.Second)
	}

	for _, container := range slices.Backward(p.inits) {
		container.stopAside()
	}
}

// prepare makes the network and the volumes; it goes on trying until the Pod is to end, and then says false.
func (p *pod) prepare() bool {
	for p.soft.Err() == nil {
		err := p.tryPrepare()
		if err == nil {
			p.say("")

			return true
		}

		p.say(err.Error())
		p.event(corev1.EventTypeWarning, "FailedMount", err.Error())

		select {
		case <-p.soft.Done():
		case <-p.refill: // maybe what was missing has come
		case <-time.After(2 * time.Second):
		}
	}

	return false
}

func (p *pod) tryPrepare() error {
	if err := p.openNetwork(); err != nil {
		return err
	}

	return p.fillVolumes(p.soft)
}

func (p *pod) openNetwork() error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.sandbox != nil {
		return nil
	}

	if p.object().Spec.HostNetwork {
		p.sandbox = &sandbox{ip: p.k.options.NodeIP, handle: -1}

		return nil
	}

	var err error

	p.sandbox, err = p.k.network.open()

	return err
}

func (p *pod) say(waiting string) {
	p.mu.Lock()
	p.waiting = waiting
	p.mu.Unlock()

	p.changed()
}

// changed has the status reported.
func (p *pod) changed() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

func (p *pod) refreshVolumes() {
	select {
	case p.refill <- struct{}{}:
	default:
	}
}

func (p *pod) event(kind, reason, message string) {
	p.k.events.Event(p.object(), kind, reason, message)
}

// finish removes a Pod from the API server that was deleted there, once nothing of it is left.
func (p *pod) finish() {
	if p.k.ctx.Err() != nil {
		return
	}

	p.reportOnce(p.k.ctx)

	if p.object().DeletionTimestamp == nil {
		return
	}

	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(p.uid))}

	p.k.retry(p.k.ctx, func(ctx context.Context) error {
		return p.k.client.CoreV1().Pods(p.namespace).Delete(ctx, p.name, options)
	})
}
