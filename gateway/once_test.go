package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/testenv"
)

const promotion = "/v1/rollouts/billing:promote"

// promote sends a command with a key, as the operator.
func (w *world) promote(key, body string) answer {
	w.t.Helper()

	return w.do("POST", promotion, body, append(bearer(bossToken), "Idempotency-Key", key)...)
}

func (f *fakeController) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return len(f.requests)
}

// TestCommandsAreRunOnce for each key, whichever gateway they come to.
func TestCommandsAreRunOnce(t *testing.T) {
	fake, controlled := withController(t)
	server := testenv.StartRedis(t)

	for name, gateways := range map[string][]*world{
		"with redis": {newReplica(t, server.URL(), unhurried, controlled).world, newReplica(t, server.URL(), unhurried, controlled).world},
		"without":    {newWorld(t, withTokens(t), controlled)},
	} {
		t.Run(name, func(t *testing.T) {
			testCommandsAreRunOnce(t, fake, gateways)
		})
	}
}

func testCommandsAreRunOnce(t *testing.T, fake *fakeController, gateways []*world) {
	t.Helper()

	gateway := func(i int) *world { return gateways[i%len(gateways)] }
	before := fake.asked()
	ran := func(want int) {
		t.Helper()

		if got := fake.asked() - before; got != want {
			t.Errorf("%d commands were run, want %d", got, want)
		}
	}

	first := gateway(0).promote("k", `{"full":true}`)
	for i := range 3 {
		if again := gateway(i).promote("k", `{"full":true}`); again.status != http.StatusOK || fmt.Sprint(again.body) != fmt.Sprint(first.body) {
			t.Errorf("again: %d %v, want %v", again.status, again.body, first.body)
		}
	}

	ran(1)

	if other := gateway(1).promote("k", `{}`); other.status != http.StatusConflict || other.reason() != "REQUEST_ID_REUSED" {
		t.Errorf("another request with the key: %d %v", other.status, other.body)
	}

	if other := gateway(1).do("POST", "/v1/rollouts/billing:undo", "", append(bearer(bossToken), "Idempotency-Key", "k")...); other.reason() != "REQUEST_ID_REUSED" {
		t.Errorf("another command with the key: %d %v", other.status, other.body)
	}

	ran(1)

	// Another key, and none.
	gateway(0).promote("l", `{"full":true}`)
	gateway(1).promote("", `{"full":true}`)
	gateway(1).promote("", `{"full":true}`)
	ran(4)

	// What was refused was not done.
	fake.refusesOnce(fault.New(codes.FailedPrecondition, "NOTHING_TO_PROMOTE", "not now"))

	if got := gateway(0).promote("m", ""); got.reason() != "NOTHING_TO_PROMOTE" {
		t.Errorf("%d %v", got.status, got.body)
	}

	if got := gateway(1).promote("m", ""); got.status != http.StatusOK {
		t.Errorf("tried again: %d %v", got.status, got.body)
	}

	ran(6)

	// Nobody knows of an outcome that got lost.
	fake.refusesOnce(fault.New(codes.Unavailable, "", "gone"))

	if got := gateway(0).promote("n", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", got.status, got.body)
	}

	for i := range 2 {
		if got := gateway(i).promote("n", ""); got.status != http.StatusConflict || got.reason() != "REQUEST_UNSETTLED" {
			t.Errorf("tried again: %d %v", got.status, got.body)
		}
	}

	ran(7)
}

// TestCommandsWithoutRedis are refused if they have a key, unless that is wanted; an abort is an abort.
func TestCommandsWithoutRedis(t *testing.T) {
	fake, controlled := withController(t)
	url := "redis://" + testenv.FreePort(t)
	refusing := newReplica(t, url, unhurried, controlled)

	for range 2 {
		if got := refusing.promote("k", ""); got.status != http.StatusServiceUnavailable || got.reason() != "IDEMPOTENCY_UNAVAILABLE" {
			t.Errorf("with a key: %d %v", got.status, got.body)
		}
	}

	if fake.asked() != 0 {
		t.Errorf("%d commands were run", fake.asked())
	}

	for _, call := range []struct{ path, key string }{{promotion, ""}, {"/v1/rollouts/billing:abort", "k"}} {
		if got := refusing.do("POST", call.path, "", append(bearer(bossToken), "Idempotency-Key", call.key)...); got.status != http.StatusOK {
			t.Errorf("%s: %d %v", call.path, got.status, got.body)
		}
	}

	if failed := refusing.count("keys", "error", Closed); failed != 2 {
		t.Errorf("%d errors were counted", failed)
	}

	before := fake.asked()
	open := newReplica(t, url, unhurried, controlled, func(c *Config) { c.Door.Redis.Keys = Open })

	for range 5 {
		if got := open.promote("k", ""); got.status != http.StatusOK {
			t.Errorf("by what this gateway knows: %d %v", got.status, got.body)
		}
	}

	if got := fake.asked() - before; got != 1 {
		t.Errorf("%d commands were run, want 1", got)
	}
}

// TestCommandsOutliveTheirOutage: what came while Redis was away is known when it is back.
func TestCommandsOutliveTheirOutage(t *testing.T) {
	server := testenv.StartRedis(t)
	fake, controlled := withController(t)
	gateway := newReplica(t, server.URL(), unhurried, controlled, func(c *Config) { c.Door.Redis.Keys = Open })

	server.Kill()

	if got := gateway.promote("k", ""); got.status != http.StatusOK {
		t.Errorf("without redis: %d %v", got.status, got.body)
	}

	server.Start()
	eventually(t, "redis is back", func() bool { return gateway.redis.Check(t.Context()) == nil })

	if got := gateway.promote("k", ""); got.status != http.StatusOK || fake.asked() != 1 {
		t.Errorf("with it: %d %v, %d commands were run", got.status, got.body, fake.asked())
	}
}

// TestRedisDiesDuringACommand: its outcome is lost for others, and it is not done again.
func TestRedisDiesDuringACommand(t *testing.T) {
	server := testenv.StartRedis(t)
	fake, controlled := withController(t)
	gateway := newReplica(t, server.URL(), unhurried, controlled)
	boss := Principal{Tenant: "acme", User: "boss", Role: RoleOperator}
	key := digest(boss.Tenant, boss.User, "k")

	found, err := gateway.service.records.claim(t.Context(), key, attempt{ID: "a", Digest: "b"}.encode())
	if err != nil || found != nil {
		t.Fatal(found, err)
	}

	server.Kill()

	if settled, err := gateway.service.records.settle(t.Context(), key, attempt{ID: "a", Digest: "b"}.encode(), []byte("done")); settled || err == nil {
		t.Errorf("settled %t, %v", settled, err)
	}

	if got := gateway.promote("k", ""); got.reason() != "IDEMPOTENCY_UNAVAILABLE" || fake.asked() != 0 {
		t.Errorf("%d %v; %d commands were run", got.status, got.body, fake.asked())
	}
}

// TestKeysInRedis are not in the clear.
func TestKeysInRedis(t *testing.T) {
	server := testenv.StartRedis(t)
	_, controlled := withController(t)
	newReplica(t, server.URL(), unhurried, controlled).promote("my-own-key", "")

	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()

	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "serin:key:") || strings.Contains(keys[0], "my-own-key") {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestFeedbackIsGivenOncePerKey(t *testing.T) {
	w := newWorld(t, withTokens(t))
	id := w.create(bearer(annToken)...)
	w.send(id, "hello", bearer(annToken)...)

	give := func(key, body string) answer {
		return w.do("POST", "/v1/conversations/"+id+"/feedback", body, append(bearer(annToken), "Idempotency-Key", key)...)
	}

	for range 3 {
		if got := give("k", `{"rating":"up"}`); got.status != http.StatusOK {
			t.Errorf("%d %v", got.status, got.body)
		}
	}

	if got := give("k", `{"rating":"down"}`); got.status != http.StatusConflict || got.reason() != "REQUEST_ID_REUSED" {
		t.Errorf("other feedback with the key: %d %v", got.status, got.body)
	}

	given := func() (count int) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()

		for _, event := range w.store.logs[id] {
			if event.GetFeedbackGiven() != nil {
				count++
			}
		}

		return count
	}

	if got := given(); got != 1 {
		t.Errorf("feedback was given %d times", got)
	}

	give("", `{"rating":"up"}`)
	give("", `{"rating":"up"}`)

	if got := given(); got != 3 {
		t.Errorf("without a key feedback was given %d times in all", got)
	}
}
