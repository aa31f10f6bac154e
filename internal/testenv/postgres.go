package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// PostgresVariable is the URL of a PostgreSQL server to test with, instead of one that is started. Its user must be
	// allowed to make databases and roles.
	PostgresVariable = "SERIN_TEST_POSTGRES_URL"
	// PostgresRole owns the databases that tests get. It is no superuser: row-level security is for such.
	PostgresRole = "serin_test"
	// PostgresLockedRole may log in with PostgresPassword alone, where the server was started here.
	PostgresLockedRole, PostgresPassword = "serin_test_locked", "a-password"

	postgresPatience = 30 * time.Second
)

// Postgres is a PostgreSQL server for tests. What it holds is lost when its machine dies: nothing is synced.
type Postgres struct {
	// URL is the administrator's.
	URL string

	directory, binaries, address string
	settings                     []string

	command  *exec.Cmd
	lifeline io.Closer
	serial   atomic.Int64
}

// shared is the server that the tests of a process share.
var shared struct {
	sync.Mutex

	server *Postgres
}

// SharedPostgres is the server that all tests of a package share: SERIN_TEST_POSTGRES_URL's, or one that is started once
// and that StopPostgres, called by TestMain, ends.
func SharedPostgres(tb testing.TB) *Postgres {
	tb.Helper()

	shared.Lock()
	defer shared.Unlock()

	if shared.server == nil {
		shared.server = startShared(tb)
	}

	return shared.server
}

func startShared(tb testing.TB) *Postgres {
	tb.Helper()

	given := os.Getenv(PostgresVariable)
	if given == "" {
		return startPostgres(tb)
	}

	server := &Postgres{URL: given}
	if err := server.administer(tb.Context(), makeRoles...); err != nil {
		tb.Fatalf("%s: %v", PostgresVariable, err)
	}

	return server
}

// StopPostgres ends the shared server, if one was started.
func StopPostgres() {
	shared.Lock()
	defer shared.Unlock()

	if shared.server != nil {
		shared.server.stop()
		shared.server = nil
	}
}

// OwnPostgres starts a server for one test, which may do to it what it likes. Settings, such as "fsync=on", win over those
// that make tests fast.
func OwnPostgres(tb testing.TB, settings ...string) *Postgres {
	tb.Helper()

	server := startPostgres(tb, settings...)
	tb.Cleanup(server.stop)

	return server
}

var makeRoles = []string{
	fmt.Sprintf(`DO $$ BEGIN CREATE ROLE %s LOGIN PASSWORD '%s'; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$`,
		PostgresRole, PostgresPassword),
	fmt.Sprintf(`DO $$ BEGIN CREATE ROLE %s LOGIN PASSWORD '%s'; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$`,
		PostgresLockedRole, PostgresPassword),
	// An administrator that is no superuser makes databases for others only as one of them.
	fmt.Sprintf(`GRANT %s TO CURRENT_USER`, PostgresRole),
}

func startPostgres(tb testing.TB, settings ...string) *Postgres {
	tb.Helper()

	binaries, err := postgresBinaries()
	if err != nil {
		stop(tb, "postgres", fmt.Sprintf("needs postgres: %v; to run this test, %s, or set %s", err, postgresHint, PostgresVariable))
	}

	directory, err := os.MkdirTemp("", "serin-postgres-") //nolint:usetesting // the server may outlive the test
	if err != nil {
		tb.Fatal(err)
	}

	server := &Postgres{directory: directory, binaries: binaries, address: FreePort(tb), settings: settings}

	server.URL = "postgres://postgres@" + server.address + "/postgres?sslmode=disable"
	if err := server.create(); err != nil {
		server.stop()
		tb.Fatalf("start PostgreSQL: %v", err)
	}

	if err := errors.Join(server.Start(), server.administer(tb.Context(), makeRoles...)); err != nil {
		server.stop()
		tb.Fatalf("start PostgreSQL: %v", err)
	}

	return server
}

const postgresHint = "install PostgreSQL 15 or later (apt-get install postgresql)"

// postgresBinaries finds the newest server: in PATH, or where Debian keeps several side by side.
func postgresBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}

	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("initdb is neither in PATH nor in /usr/lib/postgresql")
	}

	newest := slices.MaxFunc(found, func(a, b string) int { return postgresMajor(a) - postgresMajor(b) })

	return filepath.Dir(newest), nil
}

func postgresMajor(path string) int {
	major, _ := strconv.Atoi(strings.Split(strings.TrimPrefix(path, "/usr/lib/postgresql/"), "/")[0])

	return major
}

// hosts lets everyone in but one role, for tests of what a wrong password is answered with.
const hosts = "host all " + PostgresLockedRole + " 127.0.0.1/32 scram-sha-256\n" +
	"host all all 127.0.0.1/32 trust\n" //nolint:dupword // databases and roles

func (p *Postgres) create() error {
	if err := giveAway(p.directory); err != nil {
		return err
	}

	initialise := p.as("initdb", "-D", p.data(), "-U", "postgres", "--auth=trust", "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C.UTF-8")
	if said, err := initialise.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, said)
	}

	if err := os.WriteFile(filepath.Join(p.data(), "pg_hba.conf"), []byte(hosts), 0o644); err != nil { //nolint:gosec // another user reads it
		return fmt.Errorf("say who may log in: %w", err)
	}

	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.directory, "data") }

// Start starts a server that is stopped, and returns once it answers.
func (p *Postgres) Start() error {
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err //nolint:wrapcheck // it names the address
	}

	// The shell ends the server once its input does: with this process, however that ends.
	arguments := []string{
		"-c", `"$@" </dev/null & server=$!; cat >/dev/null; kill -INT $server; wait $server`, "sh",
		filepath.Join(p.binaries, "postgres"), "-D", p.data(), "-h", host, "-p", port, "-k", p.directory,
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
		"-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=5min",
	}
	for _, setting := range p.settings {
		arguments = append(arguments, "-c", setting)
	}

	p.command = p.as("/bin/sh", arguments...)

	log, err := os.OpenFile(filepath.Join(p.directory, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor

	p.command.Stdout, p.command.Stderr = log, log
	if p.lifeline, err = p.command.StdinPipe(); err != nil {
		return err //nolint:wrapcheck // as above
	}

	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.command.Path, err)
	}

	return p.answers()
}

func (p *Postgres) answers() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), postgresPatience)
	defer cancel()

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()

	for ctx.Err() == nil {
		if err = p.administer(ctx, "SELECT 1"); err == nil {
			return nil
		}

		<-tick.C
	}

	said, _ := os.ReadFile(filepath.Join(p.directory, "log"))

	return fmt.Errorf("it does not answer: %w; its log: %s", err, said)
}

// Signal sends the server's first process a signal: SIGINT for a fast shutdown, SIGQUIT for an immediate one, SIGSTOP
// and SIGCONT for a pause.
func (p *Postgres) Signal(signal syscall.Signal) error {
	pid, err := p.pid()
	if err != nil {
		return err
	}

	return syscall.Kill(pid, signal) //nolint:wrapcheck // as above
}

// Restart shuts the server down, fast or at once, and starts it again.
func (p *Postgres) Restart(shutdown syscall.Signal) error {
	if err := p.Signal(shutdown); err != nil {
		return err
	}

	return errors.Join(p.wait(), p.Start())
}

// wait ends the shell, which waits for the server.
func (p *Postgres) wait() error {
	if err := p.lifeline.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err //nolint:wrapcheck // it says what happened
	}

	err := p.command.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		return nil // an immediate shutdown is no success
	}

	return err //nolint:wrapcheck // as above
}

func (p *Postgres) stop() {
	if p.command != nil && p.command.Process != nil {
		_ = p.wait() // nobody is left to be told
	}

	if p.directory != "" {
		_ = os.RemoveAll(p.directory) // as above
	}
}

// Database makes an empty database, or a copy of a template, and drops it with the test; it returns its URL for
// PostgresRole.
func (p *Postgres) Database(tb testing.TB, template string) string {
	tb.Helper()

	name := p.NewName()
	p.CreateDatabase(tb, name, template)
	tb.Cleanup(func() {
		if err := p.administer(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop %s: %v", name, err)
		}
	})

	return p.URLOf(tb, name, PostgresRole)
}

// NewName is a name for a database that no other test uses, on whatever server.
func (p *Postgres) NewName() string {
	return fmt.Sprintf("serin_test_%d_%d", os.Getpid(), p.serial.Add(1))
}

// CreateDatabase makes a database that stays.
func (p *Postgres) CreateDatabase(tb testing.TB, name, template string) {
	tb.Helper()

	statement := fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, PostgresRole)
	if template != "" {
		statement += " TEMPLATE " + template
	}

	if err := p.administer(tb.Context(), statement); err != nil {
		tb.Fatalf("make %s: %v", name, err)
	}
}

// URLOf names a database as a role sees it.
func (p *Postgres) URLOf(tb testing.TB, database, role string) string {
	tb.Helper()

	at, err := url.Parse(p.URL)
	if err != nil {
		tb.Fatal(err)
	}

	at.Path = "/" + database
	if at.User = url.User(role); p.directory == "" {
		at.User = url.UserPassword(role, PostgresPassword)
	}

	return at.String()
}

// Exec runs statements as the administrator in a database.
func (p *Postgres) Exec(tb testing.TB, database string, statements ...string) {
	tb.Helper()

	at, err := url.Parse(p.URL)
	if err != nil {
		tb.Fatal(err)
	}

	at.Path = "/" + database
	if err := execute(tb.Context(), at.String(), statements...); err != nil {
		tb.Fatal(err)
	}
}

func (p *Postgres) administer(ctx context.Context, statements ...string) error {
	return execute(ctx, p.URL, statements...)
}

func execute(ctx context.Context, at string, statements ...string) error {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return err //nolint:wrapcheck // it names the server
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost

	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}

	return nil
}

// as makes a command that runs as an ordinary user: the server refuses to run as root.
func (p *Postgres) as(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.binaries, name)
	}

	command := exec.Command(name, args...) //nolint:gosec,noctx // the tests' own; it outlives the test that starts it
	command.Dir = p.directory
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8")

	if os.Geteuid() == 0 {
		uid, gid := ordinary()
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}

	return command
}

// giveAway makes a directory the ordinary user's.
func giveAway(directory string) error {
	if os.Geteuid() != 0 {
		return nil
	}

	uid, gid := ordinary()

	return os.Chown(directory, int(uid), int(gid)) //nolint:wrapcheck // it names the directory
}

// ordinary is who the server runs as where the tests are root: its package's user, or nobody.
func ordinary() (uid, gid uint32) {
	const nobody = 65534

	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}

		u, errU := strconv.ParseUint(found.Uid, 10, 32)
		g, errG := strconv.ParseUint(found.Gid, 10, 32)

		if errU == nil && errG == nil {
			return uint32(u), uint32(g)
		}
	}

	return nobody, nobody
}
