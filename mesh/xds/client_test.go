package xds

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/xds/csds"
)

// clientProcess makes a process of this test's program a client of billing instead; what the variable says does not
// matter.
const clientProcess = "XDS_TEST_CLIENT"

// runClient calls billing until its standard input ends, and prints who answers, and when that began, whenever it is
// someone else than before; at last, how many resources it refused.
func runClient(input io.Reader, output io.Writer) error {
	secured, err := xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		return err
	}

	connection, err := grpc.NewClient("xds:///billing.default.svc.cluster.local:9000", grpc.WithTransportCredentials(secured))
	if err != nil {
		return err
	}
	defer connection.Close()

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, input)
		cancel()
	}()

	for last := ""; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) { // the pace of the calls
		server, _, err := call(context.WithoutCancel(ctx), connection)
		if err != nil {
			return err
		}

		if server != last {
			last = server
			fmt.Fprintln(output, server, time.Now().UnixNano())
		}
	}

	refused, err := refusedResources()
	fmt.Fprintln(output, "refused", refused)

	return err
}

// refusedResources asks grpc-go itself. To have none is an error: then nothing was refused, but nothing taken either.
func refusedResources() (int, error) {
	service, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		return 0, err
	}
	defer service.Close()

	answer, err := service.FetchClientStatus(context.Background(), &statusv3.ClientStatusRequest{})
	if err != nil {
		return 0, err
	}

	resources, refused := 0, 0

	for _, config := range answer.GetConfig() {
		for _, resource := range config.GetGenericXdsConfigs() {
			resources++

			if resource.GetClientStatus() != adminv3.ClientResourceStatus_ACKED {
				refused++
			}
		}
	}

	if resources == 0 {
		return 0, errors.New("the client has no resources")
	}

	return refused, nil
}

// process is a client in a process of its own.
type process struct {
	command *exec.Cmd
	input   io.Closer
	lines   *bufio.Scanner
}

func (m *mesh) process(account string) *process {
	m.Helper()

	file := filepath.Join(m.TempDir(), "bootstrap.json")
	m.must(os.WriteFile(file, m.bootstrap(account, account), 0o600))

	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), clientProcess+"=1", "GRPC_XDS_BOOTSTRAP="+file)
	command.Stderr = m.Output()

	input, err := command.StdinPipe()
	m.must(err)

	output, err := command.StdoutPipe()
	m.must(err)
	m.must(command.Start())
	m.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })

	return &process{command, input, bufio.NewScanner(output)}
}

// answered waits until a server answers, and returns since when.
func (p *process) answered(server string) (time.Time, error) {
	for p.lines.Scan() {
		if at, ok := strings.CutPrefix(p.lines.Text(), server+" "); ok {
			nanoseconds, err := strconv.ParseInt(at, 10, 64)

			return time.Unix(0, nanoseconds), err
		}
	}

	return time.Time{}, fmt.Errorf("the client ended before %s answered", server)
}

// end returns what the client says of its resources.
func (p *process) end() (string, error) {
	p.input.Close()

	last := ""
	for p.lines.Scan() {
		last = p.lines.Text()
	}

	return last, p.command.Wait()
}
