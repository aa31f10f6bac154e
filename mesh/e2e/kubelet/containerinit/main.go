// Command containerinit becomes a container: the kubelet starts it in new mount and process namespaces and in the Pod's
// network; it builds the container's file system, and then is replaced by the container's program. With a process id in
// its spec it enters that container instead, and waits for a program there: what kubectl exec and exec probes do.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// exitStart is the exit code where the program could not be started, as container runtimes have it.
const exitStart = 128

func main() {
	runtime.LockOSThread() // namespaces belong to threads

	problem := os.NewFile(containerspec.ProblemFD, "problem")

	code, err := run()
	if err != nil {
		_, _ = fmt.Fprint(problem, err)
		os.Exit(exitStart)
	}

	os.Exit(code)
}

func run() (int, error) {
	unix.CloseOnExec(containerspec.SpecFD)
	unix.CloseOnExec(containerspec.ProblemFD)

	var spec containerspec.Spec
	if err := json.NewDecoder(os.NewFile(containerspec.SpecFD, "spec")).Decode(&spec); err != nil {
		return 0, fmt.Errorf("read the container's description: %w", err)
	}

	if spec.Root == "" {
		return enter(spec)
	}

	return 0, become(spec)
}

// become does not return where it succeeds.
func become(spec containerspec.Spec) error {
	if err := buildRoot(spec); err != nil {
		return err
	}

	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set hostname %q: %w", spec.Hostname, err)
	}

	path, err := find(spec)
	if err != nil {
		return err
	}

	if err := dropTo(spec); err != nil {
		return err
	}

	if err := unix.Exec(path, spec.Argv, spec.Env); err != nil {
		return fmt.Errorf("exec %s: %w", path, err)
	}

	return nil
}

// find changes to the working directory and looks for the program, as the container's PATH says.
func find(spec containerspec.Spec) (string, error) {
	if err := os.MkdirAll(spec.Dir, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
		return "", fmt.Errorf("make working directory: %w", err)
	}

	if err := os.Chdir(spec.Dir); err != nil {
		return "", fmt.Errorf("change to working directory: %w", err)
	}

	os.Clearenv()

	for _, variable := range spec.Env {
		if len(variable) > 5 && variable[:5] == "PATH=" {
			_ = os.Setenv("PATH", variable[5:]) // an environment that was handed to us is one that can be set
		}
	}

	path, err := exec.LookPath(spec.Argv[0])
	if err != nil {
		return "", fmt.Errorf("exec: %w", err)
	}

	return path, nil
}

// dropTo takes on the container's user.
func dropTo(spec containerspec.Spec) error {
	if err := unix.Setgroups(spec.Groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}

	if err := unix.Setresgid(spec.GID, spec.GID, spec.GID); err != nil {
		return fmt.Errorf("set group %d: %w", spec.GID, err)
	}

	if err := unix.Setresuid(spec.UID, spec.UID, spec.UID); err != nil {
		return fmt.Errorf("set user %d: %w", spec.UID, err)
	}

	return nil
}
