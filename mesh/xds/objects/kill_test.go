package objects_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// killVariable names, in the process that is to be killed, the directory to write to.
const killVariable = "SERIN_OBJECTS_TEST_KILL"

// writeUntilKilled patches one object on and on, and prints each answer.
func writeUntilKilled() {
	dir := os.Getenv(killVariable)
	if dir == "" {
		return
	}

	store, err := objects.Open(objects.Config{Dir: dir})
	if err != nil {
		panic(err)
	}

	server := httptest.NewServer(store.Handler())

	client, err := versioned.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		panic(err)
	}

	services := client.NetworkingV1().VirtualServices("default")

	for n := 1; ; n++ {
		// Annotations of a size that makes the journal be rewritten now and then.
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"n":"%d","filler":"%s"}}}`, n, strings.Repeat("x", 50_000))

		answer, err := services.Patch(context.Background(), "billing", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			panic(err)
		}

		fmt.Println(n, answer.ResourceVersion)
	}
}

func TestKilledProcessLosesNothing(t *testing.T) {
	dir := t.TempDir()
	store := newWorld(t, objects.Config{Dir: dir})
	store.create(billing)

	if err := store.store.Close(); err != nil {
		t.Fatal(err)
	}

	for round := range 5 {
		n, version := killAfter(t, dir, 17+13*round)

		again, err := objects.Open(objects.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}

		vs := again.Snapshot().VirtualServices[0]

		// The write that was under way may or may not be there; what was answered must be.
		if got, _ := strconv.Atoi(vs.Annotations["n"]); got != n && got != n+1 {
			t.Errorf("answered write %d, kept %d", n, got)
		}

		if vs.ResourceVersion < version {
			t.Errorf("answered version %s, kept %s", version, vs.ResourceVersion)
		}

		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter kills a writing process after so many answers; it returns the last one.
func killAfter(t *testing.T, dir string, answers int) (n int, version string) {
	t.Helper()

	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), killVariable+"="+dir)
	command.Stderr = os.Stderr

	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	lines := bufio.NewScanner(output)
	for i := 0; lines.Scan(); i++ {
		if i == answers {
			_ = command.Process.Kill()
		}

		if _, err := fmt.Sscan(lines.Text(), &n, &version); err != nil {
			t.Fatalf("the process said %q", lines.Text())
		}
	}

	_ = command.Wait() // killed

	return n, version
}
