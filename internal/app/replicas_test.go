package app

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/serinhq/serin/internal/agentspec"
)

func TestDoorsOfReplicas(t *testing.T) {
	for _, test := range []struct {
		address, want string
		replica       int
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", 0}, {"[::]:8080", "[::]:8082", 2}, {"127.0.0.1:0", "127.0.0.1:0", 1},
	} {
		if got := doorOf(test.address, test.replica); got != test.want {
			t.Errorf("replica %d of %s listens at %s, want %s", test.replica, test.address, got, test.want)
		}
	}

	for want, config := range map[string]PlatformConfig{
		"--replicas 10":                      {Replicas: 10},
		"the last would be beyond 65535":     {Replicas: 2, HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:65535"},
		"want them at least 2 apart":         {Replicas: 2, HTTP: "127.0.0.1:9001", GRPC: "127.0.0.1:9000"},
		"--replicas 0: want a number from 1": {},
	} {
		err := config.checkReplicas()
		if err == nil {
			err = config.checkPorts()
		}

		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", config, err, want)
		}
	}

	config := PlatformConfig{Replicas: 9, HTTP: "127.0.0.1:8080", GRPC: "127.0.0.1:9000"}
	if err := config.checkPorts(); err != nil {
		t.Error(err)
	}
}

func TestWhatRunsOnce(t *testing.T) {
	p := &Platform{config: PlatformConfig{Replicas: 3}}
	p.config.Door.PerClient.PerSecond = 1

	for room, want := range map[string]int{"mesh": 1, "controller": 1, "context": 1, "tools": 3, "ambassador": 3, "gateway": 3} {
		if got := p.config.replicasOf(room); got != want {
			t.Errorf("%d processes of %s, want %d", got, room, want)
		}
	}

	if notes := p.replicaNotes(); len(notes) != 2 || !strings.Contains(notes[0], "one serin-context runs, not 3") {
		t.Errorf("the user is told %q", notes)
	}

	p.config.Postgres, p.config.Redis = "postgres://localhost/serin", "redis://localhost"
	if got := p.config.replicasOf("context"); got != 3 {
		t.Errorf("%d context stores on PostgreSQL", got)
	}

	if notes := p.replicaNotes(); len(notes) != 0 {
		t.Errorf("the user is told %q", notes)
	}
}

func TestEveryRevisionHasItsReplicas(t *testing.T) {
	f, request := newFleet(t), exampleFleet(t)
	f.platform.config.Replicas = 3

	if err := f.apply(request); err != nil {
		t.Fatal(err)
	}

	first := processName("billing", agentspec.Short(request.GetAgents()[0].GetRevisions()[0].GetRevision()))
	members := f.declared.members(3)

	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, []string{first, first + "-2", first + "-3"}) {
		t.Errorf("the processes are %v", got)
	}

	if members[first+"-3"].replica != 2 {
		t.Errorf("the third replica is %+v", members[first+"-3"])
	}

	if sizes := f.sizes(); len(sizes) != 1 || sizes[0].GetAgent() != "billing" || sizes[0].GetProcesses() != 3 {
		t.Errorf("the controller is told %v", sizes)
	}
}

// The end of one replica must not take the socket from the others.
func TestReplicasShareASocket(t *testing.T) {
	f := newFleet(t)
	p := f.platform
	config := workloadConfig{Room: "ambassador", Name: "serin-ambassador"}

	first, err := p.planned(config.Name, 0, nil, stageServices, config, "llm", "http")
	if err != nil {
		t.Fatal(err)
	}

	second, err := p.planned(config.Name, 1, first, stageServices, config, "llm", "http")
	if err != nil {
		t.Fatal(err)
	}

	closeFiles(first.files)
	defer closeFiles(second.files)

	if second.name != "serin-ambassador-2" || second.address != first.address || second.pages == first.pages {
		t.Errorf("%s is at %s and %s, the first at %s and %s", second.name, second.address, second.pages, first.address, first.pages)
	}

	connection, err := net.Dial("tcp", second.address)
	if err != nil {
		t.Fatalf("once the first is gone: %v", err)
	}

	connection.Close()
}

// TestAHandleLeavesTheSocketsMode: a process that gets it must not make others' accepts block.
func TestAHandleLeavesTheSocketsMode(t *testing.T) {
	t.Parallel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	handle, err := handleOf(listener.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()

	started := exec.Command("true")
	started.ExtraFiles = []*os.File{handle}

	if err := started.Run(); err != nil {
		t.Fatal(err)
	}

	flags, _, failed := syscall.Syscall(syscall.SYS_FCNTL, handle.Fd(), syscall.F_GETFL, 0)
	if failed != 0 || flags&syscall.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: accepts would block", flags, failed)
	}
}
