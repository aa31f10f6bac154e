package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/mesh/identity"
	"github.com/serinhq/serin/mesh/istio"
	"github.com/serinhq/serin/services/ambassador"
)

// publicName is the directory of the certificate that outside gRPC clients see.
const publicName = "public"

// Stages of the stop: the doors first, the store last.
const (
	stageStore = iota
	stageServices
	stageAgents
	stageDoors
)

// plannedWorkload is a workload with its sockets, before it is started.
type plannedWorkload struct {
	name      string // of the process; the configuration's is the identity's
	listeners []string
	config    workloadConfig
	stage     int
	addresses map[string]string // of the sockets
	address   string            // of the first socket
	pages     string            // of health and metrics
	revision  string            // short
	files     []*os.File
}

// file is the socket of a listener; nil if there is none of that name.
func (w *plannedWorkload) file(listener string) *os.File {
	if i := slices.Index(w.listeners, listener); i >= 0 && i < len(w.files) {
		return w.files[i]
	}

	return nil
}

// labels are what the mesh selects the workload by.
func (w *plannedWorkload) labels() map[string]string {
	labels := map[string]string{"app": w.config.Name}
	if w.revision != "" {
		labels["version"], labels[istio.RevisionLabel] = w.revision, w.revision
	}

	return labels
}

// meshAPIName is the target of the mesh's Kubernetes API.
const meshAPIName = rpc.Mesh + "-api"

// plan decides which processes run besides the agents, takes their sockets, and issues their certificates.
func (p *Platform) plan() error {
	// The agents go on as they were; the controller tells what changed.
	if err := writeCatalogue(p.data.join("run", "catalogue.json"), p.fleet.catalogue()); err != nil {
		return err
	}

	steps := []func() error{
		p.planMesh, p.planContext, p.planTools, p.planAmbassador, p.planController, p.planGateway, p.planSupervisor,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}

	if err := p.writeKubeconfig(); err != nil {
		return err
	}

	return p.issueCertificates()
}

func (p *Platform) planMesh() error {
	return p.add(stageStore, workloadConfig{
		Room: "mesh", Name: rpc.Mesh, Mesh: &meshSettings{Directory: p.data.join("mesh")},
	}, "grpc", "api", "http")
}

func (p *Platform) planContext() error {
	settings := &contextSettings{Postgres: p.config.Postgres != ""}
	if !settings.Postgres {
		settings.Database = p.data.join("serin.db")
	}

	return p.add(stageStore, workloadConfig{Room: "context", Name: rpc.Context, Context: settings}, "grpc", "http")
}

func (p *Platform) planTools() error {
	return p.add(stageServices, workloadConfig{Room: "tools", Name: rpc.Tools}, "grpc", "http")
}

// demoEnv tells Serin's own demo servers where to keep their records.
func (p *Platform) demoEnv(spec agentspec.MCPServerSpec) map[string]string {
	env := map[string]string{}

	if len(spec.Command) > 0 && spec.Command[0] == "serin" {
		env["SERIN_DEMO_DATA"] = p.data.join("demo")
		if p.config.DemoDelay != "" {
			env["SERIN_DEMO_DELAY"] = p.config.DemoDelay
		}
	}

	maps.Copy(env, spec.Env)

	return env
}

func (p *Platform) planAmbassador() error {
	config, err := ambassador.FromEnv(p.env.Getenv)
	if err != nil {
		return err
	}

	p.simulated = slices.ContainsFunc(config.Providers, func(provider ambassador.ProviderConfig) bool {
		return provider.Kind == ambassador.KindSimulated
	})

	return p.add(stageServices, workloadConfig{
		Room: "ambassador", Name: rpc.Ambassador,
	}, "llm", "http")
}

func (p *Platform) planController() error {
	return p.add(stageServices, workloadConfig{
		Room: "controller", Name: rpc.Controller,
		Controller: &controllerSettings{
			Agents: p.folder, Database: p.data.join("rollouts.db"), Revisions: p.data.join("revisions"),
		},
	}, "grpc", "http")
}

func (p *Platform) planGateway() error {
	return p.add(stageDoors, workloadConfig{
		Room: "gateway", Name: rpc.Gateway,
		Gateway: &gatewaySettings{
			TokenFile: p.config.TokenFile, PublicCertificates: p.data.join("certs", publicName), Door: p.config.Door,
		},
	}, "http", "public")
}

// planSupervisor takes the port on which the controller reaches this very process.
func (p *Platform) planSupervisor() (err error) {
	if p.fleet.socket, p.targets[rpc.Supervisor], err = p.listen("an internal port", "127.0.0.1:0"); err != nil {
		return err
	}

	p.files = append(p.files, p.fleet.socket)

	return nil
}

// add plans the replicas of a workload that runs from the start to the end.
func (p *Platform) add(stage int, config workloadConfig, listeners ...string) error {
	var first *plannedWorkload

	for replica := range p.config.replicasOf(config.Room) {
		planned, err := p.planned(config.Name, replica, first, stage, config, listeners...)
		if err != nil {
			return err
		}

		if first == nil {
			first = planned
		}

		p.workloads = append(p.workloads, planned)
		p.files = append(p.files, planned.files...)
		p.aim(planned)
	}

	return nil
}

// aim notes where a planned workload is reached that is not reached through the mesh.
func (p *Platform) aim(planned *plannedWorkload) {
	switch planned.config.Room {
	case "mesh":
		p.targets[rpc.Mesh], p.targets[meshAPIName] = planned.addresses["grpc"], planned.addresses["api"]
	case "ambassador":
		p.targets[rpc.Ambassador] = planned.addresses["llm"] // all replicas have the same
	case "gateway":
		p.doors = append(p.doors, Doors{HTTP: planned.addresses["http"], GRPC: planned.addresses["public"]})
	}
}

// planned takes the sockets of a workload's replica; first is the first one, nil if this is it. The name is that of the
// processes, the one in the configuration their identity's.
func (p *Platform) planned(
	name string, replica int, first *plannedWorkload, stage int, config workloadConfig, listeners ...string,
) (*plannedWorkload, error) {
	config.Namespace, config.TrustDomain = namespace, rpc.DefaultTrustDomain
	config.Certificates = p.data.join("certs", config.Name)
	config.LeaseTTL, config.LogLevel = agentspec.Duration(p.config.LeaseTTL), p.config.LogLevel
	config.Catalogue = p.data.join("run", "catalogue.json")
	config.Listeners = map[string]int{}
	planned := &plannedWorkload{
		name: replicaName(name, replica), config: config, stage: stage, addresses: map[string]string{}, listeners: listeners,
	}

	for i, listener := range listeners {
		file, bound, err := p.socket(listener, &config, replica, first)
		if err != nil {
			closeFiles(planned.files)

			return nil, err
		}

		planned.files = append(planned.files, file)
		planned.config.Listeners[listener] = 3 + i
		planned.addresses[listener] = bound
	}

	planned.address, planned.pages = planned.addresses[listeners[0]], planned.addresses["http"]

	return planned, nil
}

func (p *Platform) issueCertificates() error {
	if err := p.issue(rpc.Operator); err != nil {
		return err
	}

	if err := p.issue(rpc.Supervisor); err != nil {
		return err
	}

	issued := map[string]bool{}

	// Replicas are one service account, as in a cluster, and share its certificate.
	for _, workload := range p.workloads {
		if name := workload.config.Name; !issued[name] {
			issued[name] = true

			if err := p.issue(name); err != nil {
				return err
			}
		}
	}

	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: rpc.Gateway}
	if err := p.ca.Issue(p.data.join("certs", publicName), id.String(), publicNames(p.config.GRPC)...); err != nil {
		return fmt.Errorf("issue certificate of the public door: %w", err)
	}

	return nil
}

// issue makes the certificate of a service account, and keeps it fresh.
func (p *Platform) issue(name string) error {
	var names []string
	if name == rpc.Mesh { // kubectl and xDS clients look for a name of the host
		names = publicNames("127.0.0.1:0")
	}

	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: name}
	if err := p.ca.Issue(p.data.join("certs", name), id.String(), names...); err != nil {
		return fmt.Errorf("issue certificate for %s: %w", name, err)
	}

	return nil
}

// publicNames are the names by which outside clients may know the gRPC door: this machine's own, if it is open to all.
func publicNames(address string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	host, _, _ := net.SplitHostPort(address) // it was checked before

	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return union(names, host)
	}

	if name, err := os.Hostname(); err == nil {
		names = union(names, name)
	}

	addresses, _ := net.InterfaceAddrs() // without them the other names serve

	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			names = union(names, network.IP.String())
		}
	}

	return names
}

func union(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}

	return append(names, name)
}

// processes turns the plan into what the supervisor runs.
func (p *Platform) processes() ([]supervise.Process, error) {
	processes := make([]supervise.Process, 0, len(p.workloads))

	for _, workload := range p.workloads {
		process, err := p.process(workload)
		if err != nil {
			return nil, err
		}

		processes = append(processes, process)
	}

	return processes, nil
}

// process writes a workload's configuration and says how to run it.
func (p *Platform) process(workload *plannedWorkload) (supervise.Process, error) {
	workload.config.Targets = p.targets
	path := p.configPath(workload.name)

	data, err := json.MarshalIndent(workload.config, "", "  ")
	if err != nil {
		return supervise.Process{}, fmt.Errorf("configure %s: %w", workload.name, err)
	}

	if err := writeFile(path, append(data, '\n')); err != nil {
		return supervise.Process{}, err
	}

	bootstrap, err := p.bootstrap(workload)
	if err != nil {
		return supervise.Process{}, err
	}

	return supervise.Process{
		Name: workload.name, Path: p.config.Executable, Args: []string{"serve", "--config", path},
		// The lock goes along, so that it lasts as long as anyone works on the data.
		Env:    append(p.environment(workload.config.Room), "GRPC_XDS_BOOTSTRAP="+bootstrap),
		EnvNow: p.secretsOf(workload.config.Room),
		Files:  append(slices.Clone(workload.files), p.data.lock), LogPath: p.data.join("logs", workload.name+".log"),
		Ready: healthPage("http://" + workload.pages + "/health/ready"),
		Alive: healthPage("http://" + workload.pages + "/health/live"),
		// A door that has gone must not let anyone wait in front of it.
		OnStopped: func() { closeFiles(workload.files) },
		Stage:     workload.stage,
	}, nil
}

// bootstrap writes what gRPC must know of the mesh before it does anything.
func (p *Platform) bootstrap(workload *plannedWorkload) (string, error) {
	data, err := identity.Bootstrap{
		ServerURI: p.targets[rpc.Mesh], Directory: workload.config.Certificates,
		Identity: workload.config.identity(workload.config.Name),
		NodeIP:   "127.0.0.1", Workload: workload.name, Labels: workload.labels(), ClusterID: "serin",
	}.JSON()
	if err != nil {
		return "", fmt.Errorf("write the bootstrap of %s: %w", workload.name, err)
	}

	path := p.bootstrapPath(workload.name)

	return path, writeFile(path, data)
}

// configPath is the file with a process's configuration, bootstrapPath the one with what gRPC must know.
func (p *Platform) configPath(process string) string { return p.data.join("run", process+".json") }

func (p *Platform) bootstrapPath(process string) string {
	return p.data.join("run", process+".xds.json")
}

// environment keeps provider keys away from everyone but the ambassador, and Redis's password from all but the gateway.
func (p *Platform) environment(room string) []string {
	allowed := []string{
		"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", degradeVariable,
	}
	env := slices.Concat(p.config.ExtraEnv, telemetryEnv(p.env.Environ))

	if room == "gateway" && p.config.Redis != "" {
		env = append(env, redisVariable+"="+p.config.Redis)
	}

	for _, variable := range p.env.Environ {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, telemetryPrefix) || name == redisVariable || name == postgresVariable {
			continue
		}

		database := isLibpq(name) // whoever talks to providers needs no way into it
		if room == "ambassador" && !database || slices.Contains(allowed, name) || room == "context" && database {
			env = append(env, variable)
		}
	}

	if room == "context" && p.config.Postgres != "" {
		env = append(env, postgresVariable+"="+p.config.Postgres)
	}

	return env
}

// secretsOf are the variables that a room's process is given beside its environment, as of its next start: tools gets those
// that the declared servers name.
func (p *Platform) secretsOf(room string) func() []string {
	if room != "tools" {
		return nil
	}

	return func() []string {
		named := map[string]bool{}

		for _, server := range p.fleet.catalogue().Servers {
			for _, name := range server.Spec.Variables() {
				named[name] = true
			}
		}

		return slices.DeleteFunc(slices.Clone(p.env.Environ), func(variable string) bool {
			name, _, _ := strings.Cut(variable, "=")

			return !named[name]
		})
	}
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		_ = file.Close() // the platform's Close tells of everything but files that are closed already
	}
}

func healthPage(url string) func(context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}

	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}

		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		defer response.Body.Close() //nolint:errcheck // only read

		if response.StatusCode == http.StatusOK {
			return nil
		}

		return failedChecks(response)
	}
}

// failedChecks says which checks of a health page fail, and why.
func failedChecks(response *http.Response) error {
	var page struct {
		Status string          `json:"status"`
		Checks []health.Result `json:"checks"`
	}

	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		return fmt.Errorf("probe: %s", response.Status)
	}

	var failed []string

	for _, check := range page.Checks {
		if check.Error != "" {
			failed = append(failed, check.Name+": "+check.Error)
		}
	}

	if len(failed) == 0 {
		return errors.New(page.Status)
	}

	return errors.New(strings.Join(failed, "; "))
}
