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
	config   workloadConfig
	stage    int
	address  string // of the first socket
	pages    string // of health and metrics
	revision string
	files    []*os.File
}

// plan decides which processes run, takes their sockets, and issues their certificates.
func (p *Platform) plan() error {
	steps := []func() error{p.planContext, p.planTools, p.planAmbassador, p.planAgents, p.planGateway}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}

	p.connectTargets()

	return p.issueCertificates()
}

func (p *Platform) planContext() error {
	return p.add(stageStore, workloadConfig{
		Room: "context", Name: rpc.Context, Context: &contextSettings{Database: p.data.join("serin.db")},
	}, "grpc", "http")
}

func (p *Platform) planTools() error {
	servers := slices.Clone(p.set.Servers)
	for i := range servers {
		servers[i].Spec.Env = p.demoEnv(servers[i].Spec)
	}

	return p.add(stageServices, workloadConfig{
		Room: "tools", Name: rpc.Tools,
		Tools: &toolsSettings{Servers: servers, Grants: agentspec.Grants(p.set)},
	}, "grpc", "http")
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

func (p *Platform) planAgents() error {
	for _, agent := range p.set.Agents {
		revision := agentspec.Revision(agent)

		file, err := p.storeRevision(agent, revision)
		if err != nil {
			return err
		}

		settings := &agentSettings{File: file, Revision: revision, Callers: agentspec.Callers(p.set, agent.Metadata.Name)}
		for _, handoff := range agent.Spec.Handoffs {
			settings.Peers = append(settings.Peers, p.entry(handoff.Agent))
		}

		if err := p.add(stageAgents, workloadConfig{
			Room: "agent", Name: agent.Metadata.Name, Agent: settings,
		}, "grpc", "http"); err != nil {
			return err
		}

		p.workloads[len(p.workloads)-1].revision = agentspec.Short(revision)
	}

	return nil
}

func (p *Platform) entry(name string) agentEntry {
	for _, agent := range p.set.Agents {
		if agent.Metadata.Name == name {
			return agentEntry{
				Name: name, Description: agent.Spec.Description, Entry: agent.Spec.Entry, Budgets: agent.Spec.Budgets,
			}
		}
	}

	return agentEntry{Name: name}
}

func (p *Platform) planGateway() error {
	settings := &gatewaySettings{TokenFile: p.config.TokenFile, PublicCertificates: p.data.join("certs", publicName)}
	for _, agent := range p.set.Agents {
		settings.Agents = append(settings.Agents, p.entry(agent.Metadata.Name))
	}

	if err := p.add(stageDoors, workloadConfig{Room: "gateway", Name: rpc.Gateway, Gateway: settings}, "http", "public"); err != nil {
		return err
	}

	gateway := p.workloads[len(p.workloads)-1]
	p.httpAddr = gateway.address

	return nil
}

// add takes the sockets of one workload.
func (p *Platform) add(stage int, config workloadConfig, listeners ...string) error {
	config.Namespace, config.TrustDomain = namespace, rpc.DefaultTrustDomain
	config.Certificates = p.data.join("certs", config.Name)
	config.LeaseTTL, config.LogLevel = agentspec.Duration(p.config.LeaseTTL), p.config.LogLevel
	config.Listeners = map[string]int{}
	planned := plannedWorkload{config: config, stage: stage}

	for i, name := range listeners {
		flag, address := "a local port", "127.0.0.1:0"

		switch {
		case config.Room == "gateway" && name == "http":
			flag, address = "--http", p.config.HTTP
		case name == "public":
			flag, address = "--grpc", p.config.GRPC
		}

		file, bound, err := p.listen(flag, address)
		if err != nil {
			return err
		}

		planned.files = append(planned.files, file)
		planned.config.Listeners[name] = 3 + i

		if i == 0 {
			planned.address = bound
		}

		switch name {
		case "http":
			planned.pages = bound
		case "public":
			p.grpcAddr = bound
		}
	}

	p.workloads = append(p.workloads, planned)

	return nil
}

func (p *Platform) connectTargets() {
	targets := map[string]string{}

	for _, workload := range p.workloads {
		if workload.config.Room != "gateway" {
			targets[workload.config.Name] = workload.address
		}
	}

	for i := range p.workloads {
		p.workloads[i].config.Targets = targets
	}
}

func (p *Platform) issueCertificates() error {
	names := make([]string, 0, 2+len(p.workloads))
	names = append(names, rpc.Operator, rpc.Supervisor)

	for _, workload := range p.workloads {
		names = append(names, workload.config.Name)
	}

	for _, name := range names {
		id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: name}
		if err := p.ca.Issue(p.data.join("certs", name), id.String()); err != nil {
			return fmt.Errorf("issue certificate for %s: %w", name, err)
		}
	}

	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: rpc.Gateway}
	if err := p.ca.Issue(p.data.join("certs", publicName), id.String(), publicNames(p.config.GRPC)...); err != nil {
		return fmt.Errorf("issue certificate of the public door: %w", err)
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
		path := p.data.join("run", workload.config.Name+".json")

		data, err := json.MarshalIndent(workload.config, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("configure %s: %w", workload.config.Name, err)
		}

		if err := writeFile(path, append(data, '\n')); err != nil {
			return nil, err
		}

		processes = append(processes, supervise.Process{
			Name: workload.config.Name, Path: p.config.Executable, Args: []string{"serve", "--config", path},
			// The lock goes along, so that it lasts as long as anyone works on the data.
			Env: p.environment(workload.config.Room), Files: append(slices.Clone(workload.files), p.data.lock),
			LogPath: p.data.join("logs", workload.config.Name+".log"),
			Ready:   healthPage("http://" + workload.pages + "/health/ready"),
			Alive:   healthPage("http://" + workload.pages + "/health/live"),
			// A door that has gone must not let anyone wait in front of it.
			OnStopped: func() { closeFiles(workload.files) },
			Stage:     workload.stage,
		})
	}

	return processes, nil
}

// environment keeps provider keys away from everyone but the ambassador.
func (p *Platform) environment(room string) []string {
	allowed := []string{
		"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR",
	}
	env := slices.Clone(p.config.ExtraEnv)

	for _, variable := range p.env.Environ {
		name, _, _ := strings.Cut(variable, "=")
		if room == "ambassador" || slices.Contains(allowed, name) {
			env = append(env, variable)
		}
	}

	return env
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		_ = file.Close() // the platform's Close tells of everything but files that are closed already
	}
}

func healthPage(url string) func(context.Context) error {
	client := &http.Client{Timeout: time.Second}

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
