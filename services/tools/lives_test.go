package tools

import (
	"context"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

func TestServerCrashDuringCall(t *testing.T) { overEach(t, testServerCrashDuringCall) }

func testServerCrashDuringCall(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	serious := tools.execute("k1", "puppet_effect", `{"crashes":100}`)
	wantOutcome(t, serious, unknown)

	// However long one waits and whoever asks: it does not run again.
	wantOutcome(t, tools.execute("k1", "puppet_effect", `{"crashes":100}`), unknown)
	eventually(t, "the claim ends", func() bool { return time.Now().After(house.store.row("k1").expires) })
	wantOutcome(t, tools.execute("k1", "puppet_effect", `{"crashes":100}`), unknown)
	tools.leave()
	wantOutcome(t, house.move().execute("k1", "puppet_effect", `{"crashes":100}`), unknown)

	if house.effectLines() != 1 || house.store.row("k1").result != nil {
		t.Errorf("%d effects, recorded %v", house.effectLines(), house.store.row("k1").result)
	}
}

func TestServerCrashDuringIdempotentCall(t *testing.T) {
	overEach(t, testServerCrashDuringIdempotentCall)
}

func testServerCrashDuringIdempotentCall(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	wantOutcome(t, tools.execute("k2", "puppet_effect_again", `{"crashes":2}`), ok)

	if house.effectLines() != 2 {
		t.Errorf("%d effects, want the crashed one and the good one", house.effectLines())
	}

	// A tool that crashes its server each time is not tried for ever.
	hopeless := tools.execute("k3", "puppet_effect_again", `{"crashes":100}`)
	wantOutcome(t, hopeless, failure)

	if house.effectLines() != 2+maxAttempts {
		t.Errorf("%d effects, want %d: %s", house.effectLines(), 2+maxAttempts, hopeless.result.GetOutput())
	}
}

func TestServerIsRestarted(t *testing.T) { overEach(t, testServerIsRestarted) }

func testServerIsRestarted(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	tools := newHouse(t).move()

	pid := func(call string) int {
		got := tools.execute(call, "puppet_pid", `{}`)
		wantOutcome(t, got, ok)

		number, err := strconv.Atoi(got.result.GetOutput())
		if err != nil {
			t.Fatal(err)
		}

		return number
	}

	first := pid("r1")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the first process is gone", func() bool { return !lives(first) })

	if second := pid("r2"); second == first {
		t.Error("the same process answered")
	}
}

func TestToolsRestartBetweenClaimAndResult(t *testing.T) {
	overEach(t, testToolsRestartBetweenClaimAndResult)
}

func testToolsRestartBetweenClaimAndResult(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	for _, test := range []struct {
		tool    string
		effects int
		again   func(t *testing.T, got answer)
	}{
		{"effect", 1, func(t *testing.T, got answer) { t.Helper(); wantOutcome(t, got, unknown) }},
		{"effect_again", 2, func(t *testing.T, got answer) { t.Helper(); wantOutcome(t, got, ok) }},
	} {
		t.Run(test.tool, func(t *testing.T) {
			house := newHouse(t)
			first := house.move()

			cut := first.goExecute(t.Context(), "s1", "puppet_"+test.tool, `{"after":1000}`)
			eventually(t, "the effect is there", func() bool { return house.effectLines() == 1 })
			first.leave()

			// Nobody may be asked while the claim lasts: whoever answered at once would not be believed.
			if got := <-cut; fault.CodeOf(got.err) != codes.Unavailable {
				t.Errorf("who was cut off got %v %v, want to be told to ask again", got.result, got.err)
			}

			test.again(t, house.move().execute("s1", "puppet_"+test.tool, `{"after":1000}`))

			if house.effectLines() != test.effects {
				t.Errorf("%d effects, want %d", house.effectLines(), test.effects)
			}
		})
	}
}

func TestTwoToolServicesRunACallOnce(t *testing.T) { overEach(t, testTwoToolServicesRunACallOnce) }

func testTwoToolServicesRunACallOnce(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	one, other := house.move(), house.move()

	// Longer than the claim's ttl: it must be renewed.
	first := one.goExecute(t.Context(), "w1", "puppet_effect", `{"text":"once","after":1500}`)
	eventually(t, "the effect is there", func() bool { return house.effectLines() == 1 })

	wantOutcome(t, other.execute("w1", "puppet_effect", `{"text":"once","after":1500}`), ok)
	wantOutcome(t, <-first, ok)

	if house.effectLines() != 1 || house.store.row("w1").renewed < 2 {
		t.Errorf("%d effects, renewed %d times", house.effectLines(), house.store.row("w1").renewed)
	}
}

func TestResultIsRecordedWhenTheStoreComesBack(t *testing.T) {
	house := newHouse(t)
	tools := house.move()

	// Each request fails once before it took effect and once after.
	var failures atomic.Int32

	house.store.setTrouble(func(_ string, applied bool) error {
		if n := failures.Add(1); (n == 1 && !applied) || n == 3 || n == 5 || n == 7 {
			return fault.New(codes.Unavailable, "DOWN", "the store is down")
		}

		return nil
	})

	wantOutcome(t, tools.execute("q1", "puppet_effect", `{}`), ok)

	if house.effectLines() != 1 || house.store.row("q1").result == nil {
		t.Errorf("%d effects, recorded %v", house.effectLines(), house.store.row("q1").result)
	}
}

func TestResultThatIsNotTaken(t *testing.T) {
	house := newHouse(t)
	tools := house.move()

	house.store.setTrouble(func(method string, applied bool) error {
		if method == "CompleteCall" && !applied {
			return fault.New(codes.FailedPrecondition, "CLAIM_NOT_HELD", "it is another's")
		}

		return nil
	})

	wantOutcome(t, tools.execute("q2", "puppet_effect", `{}`), unknown)

	if got := tools.execute("q3", "puppet_effect_again", `{}`); fault.CodeOf(got.err) != codes.Unavailable {
		t.Errorf("idempotent: %v %v", got.result, got.err)
	}
}

func TestDrainLetsCallsFinish(t *testing.T) { overEach(t, testDrainLetsCallsFinish) }

func testDrainLetsCallsFinish(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	running := tools.goExecute(t.Context(), "v1", "puppet_effect", `{"after":300}`)
	eventually(t, "the effect is there", func() bool { return house.effectLines() == 1 })

	if err := tools.service.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}

	wantOutcome(t, <-running, ok)

	if got := tools.execute("v2", "puppet_effect", `{}`); !fault.Is(got.err, "DRAINING") {
		t.Errorf("after the drain: %v %v", got.result, got.err)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	house := newHouse(t, func(config *Config) {
		config.ServerWait = 200 * time.Millisecond
		config.Servers[0].Spec.Command = []string{"/nonexistent/server"}
	})
	tools := house.move()

	got := tools.execute("n1", "puppet_effect", `{}`)
	if !fault.Is(got.err, "TOOL_SERVER_DOWN") || fault.CodeOf(got.err) != codes.Unavailable {
		t.Errorf("Execute: %v", got.err)
	}

	if _, err := tools.client.ListTools(as(t.Context(), "billing"), nil); !fault.Is(err, "TOOL_SERVER_DOWN") {
		t.Errorf("ListTools: %v", err)
	}

	if err := tools.service.Ready(t.Context()); err == nil {
		t.Error("ready without its server")
	}

	// Who does not need the server is not held up by it.
	if _, err := tools.client.ListTools(as(t.Context(), "triage"), nil); err != nil {
		t.Errorf("triage: %v", err)
	}
}

func TestStubbornServerIsEnded(t *testing.T) {
	house := newHouse(t, func(config *Config) { config.Servers[0].Spec.Env[puppetVariable] = "stubborn" })
	tools := house.move()

	got := tools.execute("e1", "puppet_pid", `{}`)
	wantOutcome(t, got, ok)
	tools.leave()

	pid, err := strconv.Atoi(got.result.GetOutput())
	if err != nil {
		t.Fatal(err)
	}

	if lives(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

func TestConcurrencyLimit(t *testing.T) { overEach(t, testConcurrencyLimit) }

func testConcurrencyLimit(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t, withTool("effect", agentspec.ToolSettings{MaxConcurrent: 2}),
		func(config *Config) { config.QueueWait = 100 * time.Millisecond })
	tools := house.move()

	running := []<-chan answer{
		tools.goExecute(t.Context(), "m1", "puppet_effect", `{"after":2000}`),
		tools.goExecute(t.Context(), "m2", "puppet_effect", `{"after":2000}`),
	}

	eventually(t, "both run", func() bool { return house.effectLines() == 2 })

	got := tools.execute("m3", "puppet_effect", `{}`)
	if !fault.Is(got.err, "TOOL_BUSY") || fault.CodeOf(got.err) != codes.ResourceExhausted || fault.From(got.err).RetryAfter == 0 {
		t.Errorf("a third: %v %v", got.result, got.err)
	}

	if house.store.row("m3").started != 0 {
		t.Error("a call was claimed while it waited in the queue")
	}

	wantOutcome(t, tools.execute("m4", "puppet_echo", `{}`), ok) // other tools have slots of their own

	for _, each := range running {
		wantOutcome(t, <-each, ok)
	}

	wantOutcome(t, tools.execute("m3", "puppet_effect", `{}`), ok)
}

func TestDuplicatesJoin(t *testing.T) { overEach(t, testDuplicatesJoin) }

func testDuplicatesJoin(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	leaving, leave := context.WithCancel(t.Context())
	first := tools.goExecute(leaving, "j1", "puppet_effect", `{"after":500}`)
	eventually(t, "the effect is there", func() bool { return house.effectLines() == 1 })

	second := tools.goExecute(t.Context(), "j1", "puppet_effect", `{"after":500}`)

	leave()

	if got := <-first; fault.CodeOf(got.err) != codes.Canceled {
		t.Errorf("who left got %v %v", got.result, got.err)
	}

	wantOutcome(t, <-second, ok)

	if house.effectLines() != 1 {
		t.Errorf("%d effects", house.effectLines())
	}
}

func TestCallGoesOnWithoutItsCaller(t *testing.T) { overEach(t, testCallGoesOnWithoutItsCaller) }

func testCallGoesOnWithoutItsCaller(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	leaving, leave := context.WithCancel(t.Context())
	abandoned := tools.goExecute(leaving, "g1", "puppet_effect", `{"text":"anyway","after":300}`)
	eventually(t, "the effect is there", func() bool { return house.effectLines() == 1 })
	leave()
	<-abandoned

	eventually(t, "the result is recorded", func() bool { return house.store.row("g1").result != nil })
	wantOutcome(t, tools.execute("g1", "puppet_effect", `{"text":"anyway","after":300}`), ok)

	if house.effectLines() != 1 {
		t.Errorf("%d effects", house.effectLines())
	}
}

func TestCallThatWaitsIsAbandoned(t *testing.T) {
	house := newHouse(t, withTool("effect", agentspec.ToolSettings{MaxConcurrent: 1}))
	tools := house.move()

	running := tools.goExecute(t.Context(), "x1", "puppet_effect", `{"after":500}`)
	eventually(t, "the first runs", func() bool { return house.effectLines() == 1 })

	leaving, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer leave()

	if got := <-tools.goExecute(leaving, "x2", "puppet_effect", `{}`); got.err == nil {
		t.Errorf("got %v", got.result)
	}

	wantOutcome(t, <-running, ok)
	eventually(t, "nothing is left", func() bool { return tools.service.gate.Active() == 0 })

	if house.effectLines() != 1 || house.store.row("x2").started != 0 {
		t.Error("a call ran that nobody waited for")
	}

	wantOutcome(t, tools.execute("x2", "puppet_effect", `{}`), ok)
}

func TestJoiningIsForTheSameCallAlone(t *testing.T) { overEach(t, testJoiningIsForTheSameCallAlone) }

func testJoiningIsForTheSameCallAlone(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t, func(config *Config) {
		config.Grants["scheduling"] = config.Grants["billing"]
	})
	house.store.setEpoch("t1", 1)

	tools := house.move()
	ctx := t.Context()

	running := tools.goExecute(ctx, "o1", "puppet_effect", `{"after":1500}`)
	eventually(t, "it runs", func() bool { return house.effectLines() == 1 })

	foreign := request("o1", "puppet_effect", `{"after":1500}`)
	if got := tools.ask(as(ctx, "scheduling"), foreign); !fault.Is(got.err, "CALL_NOT_PROPOSED") {
		t.Errorf("another agent: %v %v", got.result, got.err)
	}

	changed := request("o1", "puppet_effect", `{"after":1}`)
	if got := tools.ask(as(ctx, "billing"), changed); !fault.Is(got.err, "ARGUMENTS_CHANGED") {
		t.Errorf("other arguments: %v %v", got.result, got.err)
	}

	// The agent was restarted: its new epoch is the one that the claim is renewed under from now on.
	house.store.setEpoch("t1", 2)

	newer := request("o1", "puppet_effect", `{"after":1500}`)
	newer.Epoch = 2
	joined := tools.ask(as(ctx, "billing"), newer)
	wantOutcome(t, joined, ok)
	wantOutcome(t, <-running, ok)

	older := request("o2", "puppet_effect", `{}`)
	if got := tools.ask(as(ctx, "billing"), older); !fault.Is(got.err, "STALE_EPOCH") {
		t.Errorf("a stale epoch: %v %v", got.result, got.err)
	}

	if house.effectLines() != 1 {
		t.Errorf("%d effects", house.effectLines())
	}
}

// lives reports whether a process is there and no zombie.
func lives(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestUnknownIsRememberedWithoutTheStore: while the store can't be told that a call is lost, it would grant it again.
func TestUnknownIsRememberedWithoutTheStore(t *testing.T) {
	house := newHouse(t, func(config *Config) { config.ClaimTTL = 100 * time.Millisecond })
	tools := house.move()

	var claims atomic.Int32

	house.store.setTrouble(func(method string, applied bool) error {
		if method == "ClaimCall" && !applied && claims.Add(1) > 1 {
			return fault.New(codes.PermissionDenied, "GONE", "no more claims")
		}

		return nil
	})

	wantOutcome(t, tools.execute("u1", "puppet_effect", `{"crashes":100}`), unknown)
	house.store.setTrouble(nil)
	wantOutcome(t, tools.execute("u1", "puppet_effect", `{"crashes":100}`), unknown)

	if house.effectLines() != 1 || house.store.row("u1").started != 1 {
		t.Errorf("%d effects, started %d times", house.effectLines(), house.store.row("u1").started)
	}
}

// panicking is a backend with a mistake in it.
type panicking struct{ backend }

func (panicking) call(context.Context, invocation) (reply, error) { panic("a mistake") }

func TestPanicEndsOneCallAlone(t *testing.T) {
	house := newHouse(t)
	tools := house.move()

	wantOutcome(t, tools.execute("h1", "puppet_echo", `{}`), ok)

	broken := *tools.service.catalog.builtins["clock"]
	broken.backend = panicking{broken.backend}
	tools.service.catalog.builtins["clock"] = &broken

	wantOutcome(t, tools.execute("h2", "clock", `{}`), unknown)
	wantOutcome(t, tools.execute("h3", "puppet_echo", `{}`), ok)
}
