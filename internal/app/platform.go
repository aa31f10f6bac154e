package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/gateway"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/mesh/identity"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// PlatformConfig is what `serin up` can be told. The zero value runs the example agents.
type PlatformConfig struct {
	// Agents is a directory of agent files; empty means the example agents.
	Agents string
	// Data is where state lives; .serin by default.
	Data string
	// HTTP and GRPC are the addresses of the user's doors; 127.0.0.1:8080 and 127.0.0.1:9000 by default.
	HTTP, GRPC string
	// Postgres is the URL of a database for conversations, instead of a file below Data.
	Postgres string
	// TokenFile turns authentication on.
	TokenFile string
	// InsecureNoAuth allows doors beyond loopback without authentication.
	InsecureNoAuth bool
	// Door is what users may beside that.
	Door gateway.Door
	// Replicas is how many processes of each service run, where there can be several, from 1, the default, to 9.
	Replicas int
	// Redis is the URL of what gateways share; empty means the environment's, or that each counts for itself.
	Redis string
	// LogLevel of the workloads' logs: debug, info (default), warn, error.
	LogLevel string
	// LeaseTTL is how long a dead agent's turn waits for another executor; 5 s by default.
	LeaseTTL time.Duration
	// Executable is the binary that workloads run; this very one by default.
	Executable string
	// DemoDelay slows the demo tools down, for tests of what happens meanwhile.
	DemoDelay string
	// ExtraEnv is added to the environment of every workload.
	ExtraEnv []string
	// OnChange is told of every change of a workload's state.
	OnChange func(supervise.Status)
}

// Platform is everything on one machine. Open it, Run it, Close it.
type Platform struct {
	config     PlatformConfig
	env        *Env
	logger     *slog.Logger
	data       *dataDir
	set        *agentspec.Set
	ca         *identity.CA
	supervisor *supervise.Supervisor
	folder     string // of the agents' files
	workloads  []*plannedWorkload
	doors      []Doors
	targets    map[string]string
	fleet      *fleet
	simulated  bool
	database   postgres.Migrated // where conversations are kept, if not in a file
	opened     time.Time
	files      []*os.File
	writing    sync.Mutex
}

const (
	namespace    = "default"
	certLifetime = time.Hour
)

// OpenPlatform checks everything that can be wrong (files, directory, ports) and takes the ports; it starts no process.
func OpenPlatform(env *Env, config PlatformConfig) (*Platform, error) {
	config.Data = cmp.Or(config.Data, ".serin")
	config.HTTP = cmp.Or(config.HTTP, "127.0.0.1:8080")
	config.GRPC = cmp.Or(config.GRPC, "127.0.0.1:9000")
	config.Replicas = cmp.Or(config.Replicas, 1)

	if config.LeaseTTL == 0 {
		config.LeaseTTL = 5 * time.Second
	}

	platform := &Platform{config: config, env: env, opened: time.Now(), targets: map[string]string{}}

	if err := platform.open(); err != nil {
		return nil, errors.Join(err, platform.Close())
	}

	return platform, nil
}

func (p *Platform) open() (err error) {
	if err := checkDoors(p.config); err != nil {
		return err
	}

	if p.config.Executable == "" {
		if p.config.Executable, err = os.Executable(); err != nil {
			return fmt.Errorf("find own executable: %w", err)
		}
	}

	var level slog.Level
	if err := level.UnmarshalText([]byte(cmp.Or(p.config.LogLevel, "info"))); err != nil {
		return usageErrorf("--log-level %q: want debug, info, warn or error", p.config.LogLevel)
	}

	for _, check := range []func() error{p.config.checkReplicas, p.config.checkPorts, p.config.checkUsers, p.checkDegraded, p.checkRedis} {
		if err := check(); err != nil {
			return err
		}
	}

	// Files first: a mistake in them is the newcomer's most likely one, and costs nothing to report.
	if p.config.Agents != "" {
		if p.set, err = loadChecked(p.config.Agents); err != nil {
			return err
		}
	}

	if err := p.preparePostgres(); err != nil {
		return err
	}

	if p.data, err = openDataDir(p.config.Data); err != nil {
		return err
	}

	if p.set == nil {
		if p.set, err = loadExamples(p.data.join("examples")); err != nil {
			return err
		}
	}

	if p.folder, err = filepath.Abs(cmp.Or(p.config.Agents, p.data.join("examples"))); err != nil {
		return fmt.Errorf("find the agents' folder: %w", err)
	}

	if p.ca, err = identity.OpenCA(p.data.join("ca"), identity.CAConfig{TrustDomain: rpc.DefaultTrustDomain, Lifetime: certLifetime}); err != nil {
		return err
	}

	if err := p.openLog(); err != nil {
		return err
	}

	p.supervisor, p.fleet = p.newSupervisor(), openFleet(p)

	return p.plan()
}

func (p *Platform) checkDegraded() error {
	_, err := degradedBy(p.env)

	return err
}

// openLog begins the platform's own log, beside those of its workloads.
func (p *Platform) openLog() error {
	log, err := supervise.OpenLog(p.data.join("logs", rpc.Supervisor+".log"))
	if err != nil {
		return err
	}

	p.files = append(p.files, log)
	p.logger = slog.New(slog.NewJSONHandler(log, nil))

	return nil
}

// checkDoors refuses doors beyond loopback without authentication.
func checkDoors(config PlatformConfig) error {
	for _, door := range [][2]string{{"--http", config.HTTP}, {"--grpc", config.GRPC}} {
		flag, address := door[0], door[1]

		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return usageErrorf("%s %q: want HOST:PORT, such as 127.0.0.1:8080", flag, address)
		}

		if number, err := strconv.Atoi(port); err != nil || number < 0 || number > 65535 {
			return usageErrorf("%s %q: the port must be a number from 0 to 65535", flag, address)
		}

		if config.TokenFile == "" && !config.InsecureNoAuth && !isLoopback(host) {
			return usageErrorf("%s %q is reachable from outside and nobody would have to authenticate: "+
				"add --auth-token-file FILE, or --insecure-no-auth if that is what you want", flag, address)
		}
	}

	return nil
}

// doorFlag is the flag that sets a field of [gateway.Door].
func doorFlag(field string) string {
	switch name, rest, _ := strings.Cut(field, "."); name {
	case "perClient":
		return "--rate-per-client"
	case "perToken":
		return "--rate-per-token"
	case "redis":
		return "--redis-" + rest
	default:
		return "--origin"
	}
}

// checkUsers says what is wrong with what users may.
func (c *PlatformConfig) checkUsers() (err error) {
	if c.TokenFile != "" {
		if c.TokenFile, err = filepath.Abs(c.TokenFile); err != nil {
			return usageErrorf("--auth-token-file: %w", err)
		}

		if _, err := gateway.LoadTokens(c.TokenFile); err != nil {
			return usageErrorf("--auth-token-file: %w", err)
		}
	}

	for _, violation := range c.Door.Check(c.TokenFile != "") {
		return usageErrorf("%s: %s", doorFlag(violation.Field), violation.Message)
	}

	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}

	ip := net.ParseIP(host)

	return ip != nil && ip.IsLoopback()
}

// listen takes a port that workloads inherit.
func (p *Platform) listen(flag, address string) (*os.File, string, error) {
	listener, err := net.Listen("tcp", address) //nolint:noctx // taking a local port does not block
	if err != nil {
		return nil, "", fault.New(codes.FailedPrecondition, "PORT_TAKEN",
			"%s %s: %w; stop what listens there or choose another address, such as 127.0.0.1:0 for any free port",
			flag, address, err)
	}
	defer listener.Close() //nolint:errcheck // the file keeps the socket open

	file, err := handleOf(listener.(*net.TCPListener)) //nolint:forcetypeassert // "tcp" was asked for
	if err != nil {
		return nil, "", fmt.Errorf("keep %s open: %w", address, err)
	}

	return file, listener.Addr().String(), nil
}

// Run starts the workloads and keeps them running until the context ends, then drains them in order.
func (p *Platform) Run(ctx context.Context) error {
	processes, err := p.processes()
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	return drain.Run(running,
		drain.Task{Name: "certificates", Run: func(ctx context.Context) error {
			return ignoreCancel(p.ca.Run(ctx))
		}},
		drain.Task{Name: "agents", Run: p.fleet.run},
		drain.Task{Name: "supervisor", Run: p.fleet.serve},
		drain.Task{Name: "service registry", Run: p.runRegistry},
		drain.Task{Name: "workloads", Run: func(running context.Context) error {
			defer stop() // the others serve the workloads

			both, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(running, cancel)()

			return p.supervisor.Run(both, processes)
		}},
	)
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}

	return err
}

// warn tells of what is tried again by itself.
func (p *Platform) warn(message string, err error) {
	p.logger.Warn(message, "error", err)
}

// Close gives ports and the data directory back.
func (p *Platform) Close() error {
	var errs []error
	for _, file := range p.files {
		if err := file.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}

	if p.data != nil {
		errs = append(errs, os.RemoveAll(p.data.join("run", "up.json")), p.data.Close())
	}

	return errors.Join(errs...)
}

// HTTP is the address of the first gateway's REST door.
func (p *Platform) HTTP() string { return p.doors[0].HTTP }

// GRPC is the address of the first gateway's gRPC door.
func (p *Platform) GRPC() string { return p.doors[0].GRPC }

// Statuses returns the state of every workload.
func (p *Platform) Statuses() []supervise.Status { return p.supervisor.Statuses() }

// WaitReady returns once every workload is ready.
func (p *Platform) WaitReady(ctx context.Context) error {
	return p.supervisor.WaitReady(ctx)
}

func (p *Platform) newSupervisor() *supervise.Supervisor {
	return supervise.New(supervise.Config{
		Logger: p.logger,
		OnChange: func(status supervise.Status) {
			if err := p.writeUpFile(); err != nil {
				p.logger.Error("write up.json", "error", err)
			}

			if p.config.OnChange != nil {
				p.config.OnChange(status)
			}
		},
	})
}

// Doors are where one gateway is reached.
type Doors struct {
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`
}

// UpFile is what a running platform tells other commands. HTTP and GRPC are the first gateway's.
type UpFile struct {
	HTTP      string            `json:"http"`
	GRPC      string            `json:"grpc"`
	Gateways  []Doors           `json:"gateways"`
	CA        string            `json:"ca"`
	TokenFile string            `json:"token_file,omitempty"`
	PID       int               `json:"pid"`
	Simulated bool              `json:"simulated"`
	Workloads []WorkloadSummary `json:"workloads"`
}

// WorkloadSummary is one line of the status.
type WorkloadSummary struct {
	supervise.Status

	Address  string `json:"address"`
	Pages    string `json:"pages"`
	Revision string `json:"revision,omitempty"`
}

// Summary is what a running platform tells other commands.
func (p *Platform) Summary() UpFile {
	up := UpFile{
		HTTP: "http://" + reachable(p.HTTP()), GRPC: p.GRPC(), CA: p.data.join("certs", publicName, "bundle.pem"),
		PID: os.Getpid(), Simulated: p.simulated,
	}

	up.TokenFile = p.config.TokenFile

	for _, doors := range p.doors {
		up.Gateways = append(up.Gateways, Doors{HTTP: "http://" + reachable(doors.HTTP), GRPC: doors.GRPC})
	}

	planned := p.allWorkloads()

	for _, status := range p.supervisor.Statuses() {
		if workload := planned[status.Name]; workload != nil {
			up.Workloads = append(up.Workloads, WorkloadSummary{
				Status: status, Address: workload.address, Pages: "http://" + workload.pages, Revision: workload.revision,
			})
		}
	}

	return up
}

// allWorkloads are the workloads of now, by the name of their process.
func (p *Platform) allWorkloads() map[string]*plannedWorkload {
	all := p.fleet.workloads()
	for _, workload := range p.workloads {
		all[workload.name] = workload
	}

	return all
}

// reachable turns an address that stands for all of the machine's into one that a client can be given.
func reachable(address string) string {
	host, port, _ := net.SplitHostPort(address) // it is a listener's own
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}

	return address
}

func (p *Platform) writeUpFile() error {
	p.writing.Lock()
	defer p.writing.Unlock()

	summary := p.Summary()
	if err := p.writeScrapeTargets(summary); err != nil {
		return err
	}

	data, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}

	return writeFile(p.data.join("run", "up.json"), append(data, '\n'))
}

// writeScrapeTargets tells Prometheus where metrics are, in the format of its file_sd_configs.
func (p *Platform) writeScrapeTargets(summary UpFile) error {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}

	groups := make([]group, 0, len(summary.Workloads))
	for _, workload := range summary.Workloads {
		groups = append(groups, group{
			Targets: []string{strings.TrimPrefix(workload.Pages, "http://")}, Labels: map[string]string{"workload": workload.Name},
		})
	}

	data, err := json.MarshalIndent(groups, "", "  ")
	if err != nil {
		return fmt.Errorf("write scrape targets: %w", err)
	}

	return writeFile(p.data.join("run", "prometheus.json"), append(data, '\n'))
}
