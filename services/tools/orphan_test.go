package tools

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/serinhq/serin/internal/agentspec"
)

// orphanageVariable makes the test binary a tool service with a stubborn server, which prints the server's process id.
const orphanageVariable = "SERIN_TEST_ORPHANAGE"

func runOrphanage() {
	service, err := New(Config{
		Context: newMemoryStore(),
		Servers: []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "puppet"},
			Spec: agentspec.MCPServerSpec{
				Command: []string{"serin"}, Env: map[string]string{puppetVariable: "stubborn"},
			},
		}},
	})
	if err != nil {
		panic(err)
	}

	go func() { _ = service.Run(context.Background()) }()

	session, err := service.catalog.servers["puppet"].(*server).live(context.Background())
	if err != nil {
		panic(err)
	}

	fmt.Println(session.peer.(processPeer).process.command.Process.Pid)
	select {}
}

func TestKilledServiceLeavesNoServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	command := exec.Command(self)
	command.Env = append(os.Environ(), orphanageVariable+"=1")
	command.Stderr = t.Output()

	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}

	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}

	if !lives(pid) {
		t.Fatal("the server never lived")
	}

	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}

	_ = command.Wait()

	eventually(t, "the server is gone", func() bool { return !isRunning(pid) })
}

// isRunning reports whether a process runs; one that nobody has reaped yet does not.
func isRunning(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))

	return err == nil && !strings.Contains(string(status), ") Z ")
}
