package testenv

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pglite is the one of a process.
var pglite struct {
	sync.Mutex

	url     string
	command *exec.Cmd
	input   io.Closer
}

// PGLite is the URL of a PostgreSQL with pgvector, which few machines have: it is WebAssembly in node, starts once in a
// process, and StopPGLite, called by TestMain, ends it. All connections share one session. They have it in turns, so that
// nothing can wait for a lock, and what one sets holds for all.
func PGLite(tb testing.TB) string {
	tb.Helper()
	Require(tb, "node")

	directory, err := nodeFixtures()
	if err != nil {
		tb.Fatal(err)
	}

	RequireFile(tb, "pglite", filepath.Join(directory, "node_modules", "@electric-sql", "pglite-pgvector", "package.json"),
		"run: npm ci --prefix internal/testenv/testdata/node")

	pglite.Lock()
	defer pglite.Unlock()

	if pglite.url == "" {
		if err := startPGLite(directory); err != nil {
			tb.Fatalf("start pglite: %v", err)
		}
	}

	return pglite.url
}

// nodeFixtures is where this package keeps what runs in node, seen from any package's tests.
func nodeFixtures() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err //nolint:wrapcheck // it says what it could not do
	}

	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		directory := filepath.Join(at, "internal", "testenv", "testdata", "node")
		if _, err := os.Stat(filepath.Join(directory, "package.json")); err == nil {
			return directory, nil
		}
	}

	return "", fmt.Errorf("%s is not below the repository's root", at)
}

func startPGLite(directory string) error {
	command := exec.Command("node", filepath.Join(directory, "pglite.js")) //nolint:gosec,noctx // the repository's own; StopPGLite ends it
	command.Stderr = os.Stderr

	input, err := command.StdinPipe() // it ends with its input: with this process, however that ends
	if err != nil {
		return err //nolint:wrapcheck // it says what it could not do
	}

	output, err := command.StdoutPipe()
	if err != nil {
		return err //nolint:wrapcheck // as above
	}

	if err := command.Start(); err != nil {
		return err //nolint:wrapcheck // as above
	}

	port, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		_ = input.Close() // which ends it, if it has not

		return fmt.Errorf("it ended: %w", command.Wait())
	}

	pglite.command, pglite.input = command, input
	pglite.url = "postgres://postgres@127.0.0.1:" + strings.TrimSpace(port) + "/postgres?sslmode=disable" +
		"&default_query_exec_mode=cache_describe" // names of prepared statements would be shared, too

	return nil
}

// StopPGLite ends what PGLite started.
func StopPGLite() {
	pglite.Lock()
	defer pglite.Unlock()

	if pglite.command != nil {
		_ = pglite.input.Close()  // nobody is left to be told
		_ = pglite.command.Wait() // as above
		pglite.command, pglite.url = nil, ""
	}
}
