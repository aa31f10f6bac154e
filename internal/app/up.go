package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/internal/telemetry"
)

func newUpCommand(env *Env) *cobra.Command {
	var (
		config PlatformConfig
		output string
	)

	command := &cobra.Command{
		Use:   "up",
		Short: "Run agents and everything they need on this machine",
		Long: `Runs one process per agent and the services that they share, with mTLS between them,
and serves users over REST and gRPC. Processes that die are restarted; Ctrl-C drains.

With OPENAI_API_KEY (and OPENAI_BASE_URL), ANTHROPIC_API_KEY or OLLAMA_HOST set, agents use that provider;
without, they use the simulated one, which says so in every answer.

With --replicas each service runs in so many processes; gateways beyond the first take the next ports. One of each kind
are the control plane, which tells the others where everything is, and the controller, which decides about rollouts. The
context store is one as long as conversations are in a file.

Conversations are kept in a file in --data, or with --postgres in a database, whose schema is brought up to date first.

Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says, by OpenTelemetry's standard variables; metrics are Prometheus's.`,
		Example: `  serin up                                  # the example agents
  serin up -f ./agents                      # your own
  serin up --http 127.0.0.1:0 --grpc 127.0.0.1:0 --data /tmp/serin   # any free ports
  OPENAI_API_KEY=sk-... serin up            # a real model
  SERIN_POSTGRES_URL=postgres://serin:secret@localhost/serin serin up   # conversations in PostgreSQL
  serin up --replicas 2 --postgres postgres://serin@localhost/serin     # two processes of everything: REST on 8080 and 8081
  serin up --http 0.0.0.0:8080 --auth-token-file tokens.yaml --rate-per-token 20
  SERIN_REDIS_URL=redis://:password@localhost:6379 serin up --rate-per-client 20   # limits of all gateways together
  serin up --origin http://localhost:5173   # a web page in development`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkUpOutput(output); err != nil {
				return err
			}

			config.Postgres = cmp.Or(config.Postgres, env.get(postgresVariable))

			return runUp(command.Context(), env, config, output == "json")
		},
	}

	flags := command.Flags()
	flags.StringVarP(&config.Agents, "file", "f", "", "directory of agent files (default: the example agents)")
	flags.StringVar(&config.Data, "data", cmp.Or(env.Getenv("SERIN_DATA"), ".serin"), "directory for all state")
	postgresFlag(flags, &config.Postgres, "PostgreSQL database for conversations, instead of a file in --data")
	flags.IntVar(&config.Replicas, "replicas", 1, "processes of each service, 1 to "+strconv.Itoa(maxReplicas))
	flags.StringVar(&config.HTTP, "http", "127.0.0.1:8080", "address of the REST door")
	flags.StringVar(&config.GRPC, "grpc", "127.0.0.1:9000", "address of the gRPC door (TLS)")
	flags.StringVar(&config.TokenFile, "auth-token-file", "", "YAML file of bearer tokens; turns authentication on")
	flags.BoolVar(&config.InsecureNoAuth, "insecure-no-auth", false, "allow doors beyond loopback without authentication")
	flags.StringSliceVar(&config.Door.Origins, "origin", nil, "origin of a web page that may use the API from a browser; may be repeated")
	flags.Float64Var(&config.Door.PerClient.PerSecond, "rate-per-client", 0, "requests a second that one client may make (default no limit)")
	flags.Float64Var(&config.Door.PerToken.PerSecond, "rate-per-token", 0, "requests a second that may be made with one token (default no limit)")
	flags.StringVar(&config.Redis, "redis", "", "URL of the Redis by which gateways share limits and idempotency keys (default: "+redisVariable+", or none)")
	flags.StringVar((*string)(&config.Door.Redis.Limits), "redis-limits", "", "limits while Redis is away: open (default; each gateway's own), or closed (503)")
	flags.StringVar((*string)(&config.Door.Redis.Keys), "redis-keys", "", "rollout commands with an Idempotency-Key while Redis is away: closed (default; 503), or open")
	flags.StringVar(&config.LogLevel, "log-level", "info", "of the workloads' logs: debug, info, warn, error")
	flags.StringVarP(&output, "output", "o", "text", "text, or json: one object once ready, then one per change")

	return command
}

func checkUpOutput(output string) error {
	if output != "text" && output != "json" {
		return usageErrorf("--output %q: want text or json", output)
	}

	return nil
}

func runUp(ctx context.Context, env *Env, config PlatformConfig, asJSON bool) (err error) {
	reporter := &upReporter{env: env, json: asJSON}
	config.OnChange = reporter.change
	config.DemoDelay = env.Getenv("SERIN_DEMO_DELAY")

	if err := config.checkReplicas(); err != nil { // a platform would take 0 for the default
		return err
	}

	platform, err := OpenPlatform(env, config)
	if err != nil {
		return err
	}

	defer func() {
		if closeErr := platform.Close(); err == nil {
			err = closeErr
		}
	}()

	for _, problem := range telemetry.Problems(env.get) {
		_, _ = fmt.Fprintln(env.Stderr, "serin:", problem) // as printf
	}

	reporter.starting(platform)

	for _, note := range platform.replicaNotes() {
		_, _ = fmt.Fprintln(env.Stderr, "serin:", note) // as printf
	}

	if err := platform.redisProblem(ctx); err != nil {
		_, _ = fmt.Fprintln(env.Stderr, "serin:", err) // as printf
	}

	waiting, cancel := context.WithCancel(ctx)
	reported := make(chan struct{})

	go func() {
		defer close(reported)

		if reporter.wait(waiting, platform) == nil {
			reporter.ready(platform)
		}
	}()

	err = platform.Run(ctx)

	cancel()
	<-reported
	reporter.stopped(err)

	return err
}

// upReporter says what happens, as lines for people or as JSON.
type upReporter struct {
	env  *Env
	json bool

	mu      sync.Mutex
	isReady bool
	told    map[int]bool // processes that the table told of
}

func (r *upReporter) starting(platform *Platform) {
	if !r.json {
		r.printf("serin: starting %d workloads, state in %s\n",
			len(platform.workloads)+len(platform.set.Agents)*platform.config.Replicas, platform.data.path)
	}
}

func (r *upReporter) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(r.env.Stdout, format, args...) // a terminal that is gone can't be told so
}

// wait returns once everything is ready; until then it says from time to time what is waited for, and why.
func (r *upReporter) wait(ctx context.Context, platform *Platform) error {
	for {
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := platform.WaitReady(short)

		cancel()

		if err == nil || ctx.Err() != nil {
			return err
		}

		for _, status := range platform.Statuses() {
			if status.Problem != "" {
				_, _ = fmt.Fprintf(r.env.Stderr, "serin: waiting for %s: %s\n", status.Name, status.Problem) // as printf
			}
		}
	}
}

// change reports what happens after everything was ready once.
func (r *upReporter) change(status supervise.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if !r.isReady {
		if status.State == supervise.Restarting && !r.json {
			r.printf("serin: %s ended while starting, trying again: %s\n", status.Name, status.LastExit)
		}

		return
	}

	if r.json {
		r.encode(status)

		return
	}

	switch status.State {
	case supervise.Restarting:
		r.printf("serin: %s ended, restarting: %s\n", status.Name, status.LastExit)
	case supervise.Ready:
		if r.told[status.PID] {
			return
		}

		r.printf("serin: %s is ready (pid %d)\n", status.Name, status.PID)
	case supervise.Unready:
		delete(r.told, status.PID)
		r.printf("serin: %s is not ready any more: %s\n", status.Name, status.Problem)
	case supervise.Stopped:
		r.printf("serin: %s stopped\n", status.Name)
	case supervise.Starting:
	}
}

func (r *upReporter) encode(value any) {
	_ = json.NewEncoder(r.env.Stdout).Encode(value) // as printf
}

func (r *upReporter) ready(platform *Platform) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.isReady, r.told = true, map[int]bool{}
	summary := platform.Summary()

	for _, workload := range summary.Workloads {
		r.told[workload.PID] = true
	}

	if r.json {
		r.encode(struct {
			Ready   bool  `json:"ready"`
			ReadyMS int64 `json:"ready_ms"`
			UpFile        //nolint:embeddedstructfieldcheck // in the order of the output
		}{true, time.Since(platform.opened).Milliseconds(), summary})

		return
	}

	r.printf("\n%s", table(summary))
	r.printf("\nREST      %s   (API: %s/openapi.json)\n", summary.HTTP, summary.HTTP)

	for _, other := range summary.Gateways[1:] {
		r.printf("          %s\n", other.HTTP)
	}

	if host, _, _ := net.SplitHostPort(platform.HTTP()); !isLoopback(host) {
		r.printf("          REST is plain HTTP: put TLS in front of it before tokens cross a network\n")
	}

	r.printf("gRPC      %s   (TLS; CA certificate: %s)\n", summary.GRPC, display(summary.CA))
	for _, other := range summary.Gateways[1:] {
		r.printf("          %s\n", other.GRPC)
	}

	r.printf("LLM       %s\n", provider(platform))
	if database := platform.database.Database; database != "" {
		r.printf("state     %s\n", database)

		if problem := platform.database.Vectors.Problem; problem != "" {
			r.printf("          memories are found by words alone: %s\n", problem)
		}
	}

	r.printf("logs      %s\n", display(platform.data.join("logs")))
	r.printf("ready in  %.1f s\n\n%s\n", time.Since(platform.opened).Seconds(), thingsToTry(r.env, platform))
}

func (r *upReporter) stopped(err error) {
	if err == nil && !r.json {
		r.printf("serin: everything has stopped; conversations go on with the next serin up\n")
	}
}

func table(summary UpFile) string {
	var text strings.Builder

	writer := tabwriter.NewWriter(&text, 0, 4, 3, ' ', 0)
	_, _ = fmt.Fprintln(writer, "WORKLOAD\tREVISION\tSTATE\tPID\tADDRESS\tHEALTH AND METRICS")

	for _, workload := range summary.Workloads {
		_, _ = fmt.Fprintf(writer, "%s\t%s\t%s\t%d\t%s\t%s\n", workload.Name, cmp.Or(workload.Revision, "-"),
			workload.State, workload.PID, workload.Address, workload.Pages)
	}

	_ = writer.Flush() // into a builder, which takes everything

	return text.String()
}

func provider(platform *Platform) string {
	if platform.simulated {
		return "SIMULATED: no model is called. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or OLLAMA_HOST for a real one."
	}

	return "from the environment"
}

func thingsToTry(env *Env, platform *Platform) string {
	serin := selfCommand(env)
	chat := serin + " chat"

	if data := platform.config.Data; data != ".serin" {
		chat = "SERIN_DATA=" + data + " " + chat
	}

	url, token := platform.Summary().HTTP, ""
	if platform.config.TokenFile != "" {
		token = " -H 'Authorization: Bearer TOKEN'" //nolint:gosec // a placeholder for the reader
	}

	hello, booking := "My invoice was charged twice, please refund it", "I would like to book an appointment"
	if platform.config.Agents != "" {
		hello, booking = "Hello! What can you do?", "Hello! What can you do?"
	}

	return fmt.Sprintf(`Try, in another terminal:
  1. %[1]s "%[2]s"
  2. ID=$(curl -s%[5]s %[4]s/v1/conversations --json '{}' | sed 's/.*"conversationId":"\([^"]*\)".*/\1/')
     curl -s%[5]s %[4]s/v1/conversations/$ID/messages --json '{"text":"%[3]s"}'
  3. curl -sN%[5]s %[4]s/v1/conversations/$ID/events -H 'Accept: text/event-stream'
  4. open %[4]s/docs in a browser: the whole API`, chat, hello, booking, url, token)
}

// selfCommand is how the user started this binary, for things to try.
func selfCommand(env *Env) string {
	executable, err := os.Executable()
	if err != nil || strings.Contains(executable, string(filepath.Separator)+"go-build") {
		return "go run ."
	}

	if found, err := lookPath(env, "serin"); err == nil && found == executable {
		return "serin"
	}

	return display(executable)
}

// lookPath finds a program on the PATH of the environment.
func lookPath(env *Env, name string) (string, error) {
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}

	return "", os.ErrNotExist
}

// display shortens a path below the working directory.
func display(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}

	if relative, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(relative, "..") {
		if !strings.Contains(relative, string(filepath.Separator)) {
			return "." + string(filepath.Separator) + relative
		}

		return relative
	}

	return path
}
