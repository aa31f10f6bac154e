package kubelet

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// hostPrefix begins an image that stands for a program of the host.
const hostPrefix = "host/"

// resolveImage finds the executable that an image stands for.
func (k *Kubelet) resolveImage(image string) (string, error) {
	if executable, ok := k.options.Images[image]; ok {
		return executable, nil
	}

	bare, _, _ := strings.Cut(image, "@")
	if name, ok := strings.CutPrefix(bare, hostPrefix); ok {
		executable, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("image %q: %w", image, err)
		}

		return executable, nil
	}

	name, _, _ := strings.Cut(path.Base(bare), ":")
	if executable, ok := k.options.Images[name]; ok {
		return executable, nil
	}

	return "", fmt.Errorf("image %q is not known: there are %s, and %sNAME for programs of the host",
		image, strings.Join(slices.Sorted(maps.Keys(k.options.Images)), ", "), hostPrefix)
}
