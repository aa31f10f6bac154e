package kubelet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// mounts are the container's volumeMounts, outer ones before inner ones as they are written.
func (c *container) mounts(env map[string]string) ([]containerspec.Mount, error) {
	var mounts []containerspec.Mount

	for _, mount := range c.spec.VolumeMounts {
		source, err := c.mountSource(mount, env)
		if err != nil {
			return nil, fmt.Errorf("volumeMount %s: %w", mount.MountPath, err)
		}

		mounts = append(mounts, containerspec.Mount{
			Source: source, Target: mount.MountPath, ReadOnly: mount.ReadOnly || c.pod.onlyRead(mount.Name),
		})
	}

	return mounts, nil
}

func (c *container) mountSource(mount corev1.VolumeMount, env map[string]string) (string, error) {
	volume := c.pod.volumes[mount.Name]
	if volume == nil {
		return "", fmt.Errorf("there is no volume %s", mount.Name)
	}

	sub := mount.SubPath
	if mount.SubPathExpr != "" {
		sub = expansion.Expand(mount.SubPathExpr, expansion.MappingFuncFor(env))
	}

	if sub == "" {
		return volume.dir, nil
	}

	if !filepath.IsLocal(sub) {
		return "", fmt.Errorf("subPath %q must stay in the volume", sub)
	}

	source := filepath.Join(volume.dir, sub)

	if _, err := os.Stat(source); err == nil || !errors.Is(err, os.ErrNotExist) {
		// A file that a new version of the volume replaces stays as it is for this container, as everywhere.
		resolved, err := filepath.EvalSymlinks(source)
		if err != nil {
			return "", fmt.Errorf("resolve subPath: %w", err)
		}

		return resolved, nil
	}

	if err := os.MkdirAll(source, 0o750); err != nil {
		return "", fmt.Errorf("make subPath: %w", err)
	}

	return source, c.pod.own(source, 0o777)
}

// onlyRead reports whether a volume is one that containers can't write to.
func (p *pod) onlyRead(name string) bool {
	volume := p.volumes[name]

	return volume != nil && volume.payload != nil
}
