package app_test

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// What another program, or another serin up, holds is refused by the built binary: one line, exit code 2, nothing started.
func TestTakenPortAndDirectoryAreRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	running := startPlatform(t)

	for _, test := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"REST port", []string{"--http", listener.Addr().String(), "--grpc", "127.0.0.1:0", "--data", t.TempDir()}, "--http " + listener.Addr().String()},
		{"gRPC port", []string{"--http", "127.0.0.1:0", "--grpc", listener.Addr().String(), "--data", t.TempDir()}, "--grpc " + listener.Addr().String()},
		{"data directory", []string{"--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data", running.config.Data}, "is in use by another serin up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), binary, append([]string{"up"}, test.arguments...)...).CombinedOutput()

			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit code 2", err)
			}

			if text := string(output); !strings.HasPrefix(text, "serin: ") || !strings.Contains(text, test.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("said %q, want one line with %q", text, test.want)
			}
		})
	}
}
