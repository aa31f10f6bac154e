package kubelet

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
	"k8s.io/utils/ptr"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// programDir is where the image's program is in a container.
const programDir = "/usr/local/bin"

// nobody is the user that runAsNonRoot stands for where nothing else says who: no image does here.
const nobody = 65532

// containerSpec says how the container's process becomes it.
func (c *container) containerSpec(image string, env map[string]string) (*containerspec.Spec, error) {
	user, err := c.user()
	if err != nil {
		return nil, err
	}

	mounts, err := c.mounts(env)
	if err != nil {
		return nil, err
	}

	program := filepath.Join(programDir, filepath.Base(image))
	security := ptr.Deref(c.spec.SecurityContext, corev1.SecurityContext{})

	return &containerspec.Spec{
		Root:         c.pod.rootDir(),
		Mounts:       append(c.programMounts(image, program), mounts...),
		Files:        c.pod.files(user),
		ReadOnlyRoot: ptr.Deref(security.ReadOnlyRootFilesystem, false),
		Hostname:     c.pod.hostname(),
		Argv:         c.argv(program, env),
		Env:          variables(env),
		Dir:          orElse(c.spec.WorkingDir, "/"),
		UID:          user.uid, GID: user.gid, Groups: user.groups,
	}, nil
}

// argv is the container's command line: command replaces the image's program, args follow.
func (c *container) argv(program string, env map[string]string) []string {
	mapping := expansion.MappingFuncFor(env)
	words := slices.Concat(c.spec.Command, c.spec.Args)
	argv := make([]string, 0, 1+len(words))

	if len(c.spec.Command) == 0 {
		argv = append(argv, program)
	}

	for _, word := range words {
		argv = append(argv, expansion.Expand(word, mapping))
	}

	return argv
}

func variables(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}

	return list
}

// user is who a container runs as.
type user struct {
	uid, gid int
	groups   []int
}

func (c *container) user() (user, error) {
	pod := ptr.Deref(c.pod.object().Spec.SecurityContext, corev1.PodSecurityContext{})
	own := ptr.Deref(c.spec.SecurityContext, corev1.SecurityContext{})

	nonRoot := ptr.Deref(first(own.RunAsNonRoot, pod.RunAsNonRoot), false)
	standard := int64(0)

	if nonRoot {
		standard = nobody
	}

	uid := ptr.Deref(first(own.RunAsUser, pod.RunAsUser), standard)
	gid := ptr.Deref(first(own.RunAsGroup, pod.RunAsGroup), standard)

	if nonRoot && uid == 0 {
		return user{}, fmt.Errorf("container's runAsUser breaks non-root policy (pod: %s, container: %s)", c.pod.name, c.spec.Name)
	}

	made := user{uid: int(uid), gid: int(gid)}

	for _, group := range pod.SupplementalGroups {
		made.groups = append(made.groups, int(group))
	}

	if pod.FSGroup != nil {
		made.groups = append(made.groups, int(*pod.FSGroup))
	}

	return made, nil
}

func first[T any](values ...*T) *T {
	for _, value := range values {
		if value != nil {
			return value
		}
	}

	return nil
}

func orElse(value, standard string) string {
	if value == "" {
		return standard
	}

	return value
}

func join(names []string) string { return "[" + strings.Join(names, " ") + "]" }

// programMounts put the image's program where PATH finds it, with nothing of the host beside it, and at the root as
// images without a system have it.
func (c *container) programMounts(image, program string) []containerspec.Mount {
	return []containerspec.Mount{
		{Source: c.pod.binDir(c.spec.Name), Target: programDir},
		{Source: image, Target: program, ReadOnly: true},
		{Source: image, Target: "/" + filepath.Base(image), ReadOnly: true},
	}
}

// files are what a container finds in /etc, beside its volumes.
func (p *pod) files(user user) map[string]string {
	hosts := strings.Builder{}
	hosts.WriteString("127.0.0.1 localhost\n")
	fmt.Fprintf(&hosts, "%s %s\n", p.network().ip, p.hostname())

	for _, name := range slices.Sorted(maps.Keys(p.k.options.Hosts)) {
		fmt.Fprintf(&hosts, "%s %s\n", p.k.options.Hosts[name], name)
	}

	for _, alias := range p.object().Spec.HostAliases {
		fmt.Fprintf(&hosts, "%s %s\n", alias.IP, strings.Join(alias.Hostnames, " "))
	}

	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	if user.uid != 0 {
		passwd += fmt.Sprintf("user:x:%d:%d::/:/bin/sh\n", user.uid, user.gid)
	}

	return map[string]string{
		"/etc/hosts": hosts.String(), "/etc/hostname": p.hostname() + "\n", "/etc/passwd": passwd, "/etc/group": "root:x:0:\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"/etc/resolv.conf":   "search " + p.namespace + ".svc.cluster.local svc.cluster.local cluster.local\n",
	}
}
