package ambassador

import (
	"testing"
	"time"
)

// How gateways like this one are known to fail, and the tests which show that this one does not:
//
//	a stream that was cut looks like a success        TestStreamCutMidAnswer, TestAnthropicStreamCutMidAnswer,
//	                                                  TestMockStreamCutMidAnswer, TestMockMessagesStreamCut
//	an error inside of a stream becomes an end        TestProviderErrorInsideStream, TestAnthropicStreamCutMidAnswer,
//	                                                  TestMessagesErrorInsideStream
//	... or is not tried again                         TestAnthropicErrorInsideStreamBeforeContentFallsBack
//	Retry-After is ignored                            TestRetryAfterIsHonoured
//	cooling keys are forgotten after one request      TestCoolingKeysAreRememberedAcrossRequests
//	cooling again keeps the earlier deadline          TestReCoolingTakesTheLaterDeadline
//	every key cools, and a 429 has no Retry-After     TestEveryKeyCoolingIs429WithRetryAfter, TestMockRetryAfterIsTold
//	the circuit breaker is an empty hook              TestCircuitBreakerOpensAndCloses and its neighbours
//	retries multiply the load of an outage            TestRetryBudget
//	a slow first token does not fall back             TestFallbackOnSlowFirstToken
//	rotating keys counts as retries                   TestWalkingTheKeyPoolIsNoRetry
//	529 burns healthy keys                            TestOverloadedStaysOnTheKey, TestAnthropicOverloadedStaysOnTheKey
//	timeouts do not fire before headers               TestTimeoutBeforeHeaders
//	429 without Retry-After never fails over          Test429WithoutRetryAfterFailsOver
//	a client that leaves does not stop the provider   TestClientDisconnectCancelsUpstream
//	SIGTERM drops running requests                    TestShutdownFinishesStreams
//	usage gets lost in streams                        TestUsageInStreams, TestAnthropicUsageInStreamsAndCachedTokens
//	cached tokens are counted wrong                   TestAnthropicUsageInStreamsAndCachedTokens
//	OpenAI providers have no /v1/messages             TestMockMessagesText, TestMockMessagesParallelTools
//	tool calls lose their arguments                   TestAnthropicToolCallsKeepTheirArguments, FuzzAnthropicAgree
//
// Those in this file look at decisions; the others ask a running ambassador.

func TestCoolingKeysAreRememberedAcrossRequests(t *testing.T) {
	now := time.Now()
	rests := newCooldowns()
	rests.now = func() time.Time { return now }

	first, _ := rests.enter("p", "key", "m")
	first.cool(scopeModel, time.Minute)

	now = now.Add(59 * time.Second)

	if second, wait := rests.enter("p", "key", "m"); second != nil || wait != time.Second {
		t.Errorf("another request gets the key, or waits for %s", wait)
	}
}

func TestReCoolingTakesTheLaterDeadline(t *testing.T) {
	for _, asked := range [][2]time.Duration{{time.Second, time.Minute}, {time.Minute, time.Second}} {
		now := time.Now()
		rests := newCooldowns()
		rests.now = func() time.Time { return now }

		first, _ := rests.enter("p", "key", "m")
		second, _ := rests.enter("p", "key", "m")
		first.cool(scopeModel, asked[0])
		second.cool(scopeModel, asked[1])

		if _, wait := rests.enter("p", "key", "m"); wait != time.Minute {
			t.Errorf("%s, then %s: rests for %s", asked[0], asked[1], wait)
		}
	}
}

// A probe that fails opens the circuit again, for longer each time.
func TestCircuitBreakerProbes(t *testing.T) {
	now := time.Now()
	rests := newCooldowns()
	rests.now = func() time.Time { return now }

	for range 3 {
		try, _ := rests.enter("p", "key", "m")
		try.fail(3)
	}

	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if _, wait := rests.enter("p", "other key", "m"); wait != want || !rests.broken("p", "m") {
			t.Errorf("rests for %s, want %s", wait, want)
		}

		now = now.Add(want)

		probe, _ := rests.enter("p", "key", "m")
		if second, _ := rests.enter("p", "other key", "m"); probe == nil || second != nil {
			t.Fatal("not exactly one request probes")
		}

		probe.fail(3)
	}

	now = now.Add(time.Minute)

	probe, _ := rests.enter("p", "key", "m")
	probe.ok()

	if rests.broken("p", "m") {
		t.Error("the circuit stays open after an answer")
	}
}
