// Package binaries builds the control plane that the tests run against: etcd, kube-apiserver, kube-controller-manager,
// istiod and istioctl, from the versions that go.mod pins. A cold build takes about twenty minutes on two cores; what was
// built is kept by version in the user's cache directory.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// module is the path of the module that pins the versions.
const module = "github.com/serinhq/serin/mesh/e2e"

// linkFlags strip the programs, and tell Kubernetes its version, which it refuses to start without.
const linkFlags = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3" +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"

// Set is where the programs are.
type Set struct {
	Etcd, APIServer, ControllerManager, Istiod, Istioctl string
	// ContainerInit is the program that becomes a container: see package kubelet.
	ContainerInit string
}

// program is one program of the set.
type program struct{ name, pkg string }

// programs are ordered so that a cold build shows results soon.
var programs = []program{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"pilot-discovery", "istio.io/istio/pilot/cmd/pilot-discovery"},
	{"istioctl", "./cmd/istioctl"},
}

// In names the programs of a directory that [Build] filled.
func In(dir string) Set {
	return Set{
		Etcd:              filepath.Join(dir, "etcd"),
		APIServer:         filepath.Join(dir, "kube-apiserver"),
		ControllerManager: filepath.Join(dir, "kube-controller-manager"),
		Istiod:            filepath.Join(dir, "pilot-discovery"),
		Istioctl:          filepath.Join(dir, "istioctl"),
		ContainerInit:     filepath.Join(dir, "container-init"),
	}
}

// Build builds what is missing and returns the directory that holds the programs; see [In]. Lines that say what is being
// built, and for how long, go to progress. It runs the go command in the working directory, which must lie in this
// module. Two builders take turns.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}

	dir, err := cacheDir(source)
	if err != nil {
		return "", err
	}

	unlock, err := lock(ctx, filepath.Join(dir, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()

	for _, program := range programs {
		if err := program.build(ctx, source, dir, progress); err != nil {
			return "", err
		}
	}

	// This one is ours and changes with the source: the go command's cache knows when.
	own := Program{Name: "container-init", Dir: source, Package: "./kubelet/containerinit"}

	return dir, own.Build(ctx, dir)
}

func (p program) build(ctx context.Context, source, dir string, progress io.Writer) error {
	path := filepath.Join(dir, p.name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}

	watch := watchBuild(p.name, progress)
	err := goBuild(ctx, source, path, watch, "-v", "-ldflags", linkFlags, p.pkg)

	return watch.finish(err)
}

// cacheDir makes the directory for the versions in the source's go.mod, these flags and this Go.
func cacheDir(source string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, linkFlags, runtime.Version(), runtime.GOARCH)

	for _, name := range []string{"go.mod", "go.sum", "cmd/istioctl/main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("read pinned versions: %w", err)
		}

		sum.Write(content)
	}

	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for built programs: %w", err)
	}

	dir := filepath.Join(cache, "serin", "e2e", hex.EncodeToString(sum.Sum(nil))[:16])
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make a place for built programs: %w", err)
	}

	return dir, nil
}
