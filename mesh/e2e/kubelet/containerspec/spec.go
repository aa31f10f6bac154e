// Package containerspec is what the kubelet tells the program that becomes a container. It has a package of its own so
// that this program stays small: it starts with every container and every exec probe.
package containerspec

// Spec says how to become a container. It is read as JSON from descriptor [SpecFD].
type Spec struct {
	// Root is an empty directory that the container's root is mounted on. Empty means to enter the container of PID instead.
	Root string `json:"root,omitempty"`
	// Mounts are made in their order.
	Mounts []Mount `json:"mounts,omitempty"`
	// Files are written into the container's root before it becomes read only, by their absolute path.
	Files map[string]string `json:"files,omitempty"`
	// ReadOnlyRoot makes everything read only that is not a mount of its own.
	ReadOnlyRoot bool   `json:"readOnlyRoot,omitempty"`
	Hostname     string `json:"hostname,omitempty"`
	// PID is the container's first process, for those who enter it.
	PID int `json:"pid,omitempty"`

	Argv   []string `json:"argv"`
	Env    []string `json:"env"`
	Dir    string   `json:"dir"`
	UID    int      `json:"uid"`
	GID    int      `json:"gid"`
	Groups []int    `json:"groups,omitempty"`
}

// Mount is one bind mount.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

const (
	// SpecFD is where the spec is read from.
	SpecFD = 3
	// ProblemFD is where a text says why the program could not be started. It is closed when it was.
	ProblemFD = 4
)
