package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// volume is one volume of a Pod.
type volume struct {
	name string
	dir  string
	// payload makes the files of a volume that is made of objects; nil for one that is a plain directory.
	payload func(context.Context) (map[string]volumeutil.FileProjection, error)
	// memory says that a tmpfs is mounted on the directory.
	memory bool
	// due is when the volume must be made anew though no object has changed: a token ends.
	due    time.Time
	tokens map[string]*token
}

func (p *pod) volumeDir(name string) string { return filepath.Join(p.dir, "volumes", name) }

func (p *pod) rootDir() string { return filepath.Join(p.dir, "root") }

func (p *pod) binDir(container string) string { return filepath.Join(p.dir, "bin", container) }

// fillVolumes makes all volumes; those that are there are made anew. What it names in an error is still missing.
func (p *pod) fillVolumes(ctx context.Context) error {
	object := p.object()

	if err := p.makeDirs(object); err != nil {
		return err
	}

	for i := range object.Spec.Volumes {
		spec := &object.Spec.Volumes[i]

		if p.volumes[spec.Name] == nil {
			made, err := p.newVolume(spec)
			if err != nil {
				return fmt.Errorf("volume %s: %w", spec.Name, err)
			}

			p.volumes[spec.Name] = made
		}

		if err := p.fill(ctx, p.volumes[spec.Name]); err != nil {
			return fmt.Errorf("volume %s: %w", spec.Name, err)
		}
	}

	return nil
}

func (p *pod) makeDirs(object *corev1.Pod) error {
	containers := slices.Concat(p.inits, p.mains)
	dirs := append(make([]string, 0, 1+len(containers)+len(object.Spec.Volumes)), p.rootDir())

	for _, container := range containers {
		dirs = append(dirs, p.binDir(container.spec.Name))
	}

	for _, volume := range object.Spec.Volumes {
		dirs = append(dirs, p.volumeDir(volume.Name))
	}

	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the Pod's directories: %w", err)
		}
	}

	return nil
}

// newVolume makes the directory that stands for a volume, still empty if it is made of objects.
func (p *pod) newVolume(spec *corev1.Volume) (*volume, error) {
	made := &volume{name: spec.Name, dir: p.volumeDir(spec.Name), tokens: map[string]*token{}}

	switch source := spec.VolumeSource; {
	case source.EmptyDir != nil:
		made.memory = source.EmptyDir.Medium == corev1.StorageMediumMemory

		return made, p.makeEmptyDir(made)
	case source.PersistentVolumeClaim != nil:
		made.dir = filepath.Join(p.k.options.Dir, "claims", p.namespace+"_"+source.PersistentVolumeClaim.ClaimName)

		return made, errors.Join(os.MkdirAll(made.dir, 0o777), p.own(made.dir, 0o777))
	case source.HostPath != nil:
		made.dir = source.HostPath.Path

		return made, nil
	}

	made.payload = p.payloadOf(spec, made)
	if made.payload == nil {
		return nil, errors.New("this kind of volume is not supported")
	}

	return made, nil
}

func (p *pod) makeEmptyDir(made *volume) error {
	if made.memory {
		if err := unix.Mount("tmpfs", made.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("mount memory: %w", err)
		}
	}

	return p.own(made.dir, 0o777)
}

// fill writes a volume's files, all at once, where they have changed: readers see the old ones or the new ones.
func (p *pod) fill(ctx context.Context, made *volume) error {
	if made.payload == nil {
		return nil
	}

	payload, err := made.payload(ctx)
	if err != nil {
		return err
	}

	writer, err := volumeutil.NewAtomicWriter(made.dir, "pod "+p.namespace+"/"+p.name+" volume "+made.name)
	if err != nil {
		return fmt.Errorf("write files: %w", err)
	}

	group := p.fsGroup()

	err = writer.Write(payload, func(sub string) error {
		if group < 0 {
			return nil
		}

		return shareWith(filepath.Join(made.dir, sub), group)
	})
	if err != nil {
		return fmt.Errorf("write files: %w", err)
	}

	return nil
}

// own gives a directory to the Pod's group, if it has one.
func (p *pod) own(dir string, mode fs.FileMode) error {
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("let the container's user write: %w", err)
	}

	if group := p.fsGroup(); group >= 0 {
		if err := errors.Join(os.Chown(dir, -1, group), os.Chmod(dir, mode|fs.ModeSetgid)); err != nil {
			return fmt.Errorf("give the volume to group %d: %w", group, err)
		}
	}

	return nil
}

// fsGroup is the group that volumes are given to, or -1.
func (p *pod) fsGroup() int {
	if security := p.object().Spec.SecurityContext; security != nil && security.FSGroup != nil {
		return int(*security.FSGroup)
	}

	return -1
}

// shareWith lets a group read a tree.
func shareWith(dir string, group int) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		if err := os.Lchown(path, -1, group); err != nil {
			return fmt.Errorf("give %s to group %d: %w", path, group, err)
		}

		info, err := entry.Info()
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}

		readable := info.Mode().Perm() | 0o040
		if entry.IsDir() {
			readable |= 0o050
		}

		return os.Chmod(path, readable)
	})
}

// keepVolumes makes volumes anew when something that they are made of changes, or ends.
func (p *pod) keepVolumes(ctx context.Context) {
	for {
		renew := time.NewTimer(p.untilDue())

		select {
		case <-ctx.Done():
			renew.Stop()

			return
		case <-p.refill:
		case <-renew.C:
		}

		renew.Stop()

		if err := p.fillVolumes(ctx); err != nil && ctx.Err() == nil {
			p.event(corev1.EventTypeWarning, "FailedMount", err.Error())
			p.retryVolumes(ctx)
		}
	}
}

// retryVolumes has the volumes made anew a little later.
func (p *pod) retryVolumes(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryEvery):
		p.refreshVolumes()
	}
}

// untilDue is the time until the first token must be renewed.
func (p *pod) untilDue() time.Duration {
	wait := 24 * time.Hour

	for _, made := range p.volumes {
		if !made.due.IsZero() {
			wait = min(wait, max(time.Until(made.due), retryEvery))
		}
	}

	return wait
}

// tidy removes what the Pod had on this node but its logs.
func (p *pod) tidy() {
	var problems []error

	for _, made := range p.volumes {
		if made.memory {
			problems = append(problems, unix.Unmount(made.dir, unix.MNT_DETACH))
		}
	}

	p.mu.Lock()
	sandbox := p.sandbox
	p.mu.Unlock()

	if sandbox != nil {
		problems = append(problems, p.k.network.shut(sandbox))
	}

	problems = append(problems, os.RemoveAll(p.dir))

	if err := errors.Join(problems...); err != nil {
		p.event(corev1.EventTypeWarning, "FailedKillPod", err.Error())
	}
}
