package history_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/serinhq/serin/internal/history"
)

const limit = 10 * time.Second

// did is an operation from one time to another; 0 means that it has no answer.
func did(client int, from, to int64, asked, told any) porcupine.Operation {
	if to == 0 {
		to = math.MaxInt64
	}

	return porcupine.Operation{ClientId: client, Call: from, Return: to, Input: asked, Output: told}
}

func appends(entry string, expected int64) history.LogAsked {
	return history.LogAsked{Append: true, Entry: entry, Expected: expected}
}

func logged(entries ...string) history.LogTold { return history.LogTold{Log: history.LogOf(entries)} }

func TestLogs(t *testing.T) {
	t.Parallel()

	made := func(version int64) history.LogTold { return history.LogTold{Version: version} }
	unknown, conflict, read := history.LogTold{Unknown: true}, history.LogTold{Conflict: true}, history.LogAsked{}

	for name, test := range map[string]struct {
		operations []porcupine.Operation
		wrong      bool
	}{
		"one of two that expect the same": {operations: []porcupine.Operation{
			did(1, 1, 5, appends("a", 0), made(1)), did(2, 1, 5, appends("b", 0), conflict), did(1, 6, 7, read, logged("a")),
		}},
		"a lost update: two that expect the same are both made": {wrong: true, operations: []porcupine.Operation{
			did(1, 1, 5, appends("a", 0), made(1)), did(2, 1, 5, appends("b", 0), made(1)), did(1, 6, 7, read, logged("b")),
		}},
		"what was made is not there": {wrong: true, operations: []porcupine.Operation{
			did(1, 1, 5, appends("a", 0), made(1)), did(2, 6, 7, read, logged()),
		}},
		"a conflict with nothing": {wrong: true, operations: []porcupine.Operation{did(1, 1, 5, appends("a", 0), conflict)}},
		"an old log after a newer one": {wrong: true, operations: []porcupine.Operation{
			did(1, 1, 9, appends("a", 0), made(1)), did(2, 2, 3, read, logged("a")), did(2, 4, 5, read, logged()),
		}},
		"without an answer, and made": {operations: []porcupine.Operation{
			did(1, 1, 0, appends("a", 0), unknown), did(2, 6, 7, read, logged()), did(2, 8, 9, read, logged("a")),
		}},
		"without an answer, and not made": {operations: []porcupine.Operation{
			did(1, 1, 0, appends("a", 0), unknown), did(2, 6, 7, appends("b", 0), made(1)), did(2, 8, 9, read, logged("b")),
		}},
		"without an answer, and made twice": {wrong: true, operations: []porcupine.Operation{
			did(1, 1, 0, appends("a", 0), unknown), did(2, 8, 9, read, logged("a", "a")),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge(t, history.CheckLog("log", test.operations, limit), test.wrong)
		})
	}
}

func TestLeases(t *testing.T) {
	t.Parallel()

	by := func(act history.LeaseAct, holder string, epoch int64) history.LeaseAsked {
		return history.LeaseAsked{Act: act, Holder: holder, Epoch: epoch}
	}
	given := func(epoch int64) history.LeaseTold { return history.LeaseTold{Epoch: epoch} }
	yes, refused, unknown := history.LeaseTold{}, history.LeaseTold{Refused: true}, history.LeaseTold{Unknown: true}
	first := did(1, 1, 2, by(history.Acquire, "a", 0), given(2))
	second := did(2, 3, 4, by(history.Acquire, "b", 0), given(3))

	for name, test := range map[string]struct {
		operations     []porcupine.Operation
		expires, wrong bool
	}{
		"the same holder gets the same": {operations: []porcupine.Operation{
			first, did(1, 3, 4, by(history.Acquire, "a", 0), given(2)), did(2, 3, 4, by(history.Acquire, "b", 0), refused),
		}},
		"two hold it at once": {wrong: true, operations: []porcupine.Operation{first, second}},
		"it expires":          {expires: true, operations: []porcupine.Operation{first, second}},
		"after a release": {operations: []porcupine.Operation{
			first, did(1, 3, 4, by(history.Release, "a", 2), yes), did(2, 5, 6, by(history.Acquire, "b", 0), given(3)),
		}},
		"one epoch for two": {expires: true, wrong: true, operations: []porcupine.Operation{
			first, did(2, 3, 4, by(history.Acquire, "b", 0), given(2)),
		}},
		"a stale epoch is refused": {expires: true, operations: []porcupine.Operation{
			first, second, did(1, 5, 6, by(history.Write, "a", 2), refused),
		}},
		"a stale epoch may write": {expires: true, wrong: true, operations: []porcupine.Operation{
			first, second, did(1, 5, 6, by(history.Write, "a", 2), yes),
		}},
		"a stale epoch is renewed": {expires: true, wrong: true, operations: []porcupine.Operation{
			first, second, did(1, 5, 6, by(history.Renew, "a", 2), yes),
		}},
		"a stale epoch releases": {expires: true, wrong: true, operations: []porcupine.Operation{
			first, second, did(1, 5, 6, by(history.Release, "a", 2), yes),
		}},
		"the current epoch is refused": {wrong: true, operations: []porcupine.Operation{
			first, did(1, 3, 4, by(history.Write, "a", 2), refused),
		}},
		"a release without an answer": {operations: []porcupine.Operation{
			first, did(1, 3, 0, by(history.Release, "a", 2), unknown),
			did(1, 4, 5, by(history.Write, "a", 2), yes), did(2, 6, 7, by(history.Acquire, "b", 0), given(3)),
		}},
		"an acquisition without an answer": {operations: []porcupine.Operation{
			did(1, 1, 0, by(history.Acquire, "a", 0), unknown), did(2, 2, 3, by(history.Acquire, "b", 0), refused),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge(t, history.CheckLease("lease", 1, test.expires, test.operations, limit), test.wrong)
		})
	}
}

func judge(t *testing.T, err error, wrong bool) {
	t.Helper()

	if (err != nil) != wrong {
		t.Errorf("found %v, and something is wrong: %v", err, wrong)
	}

	if err != nil && !strings.Contains(err.Error(), "client 1") {
		t.Errorf("it does not tell what happened: %v", err)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()

	recorder := history.NewRecorder()
	began := recorder.Now()
	recorder.Answered(1, appends("a", 0), history.LogTold{Version: 1}, began)
	recorder.Unanswered(2, appends("b", 1), history.LogTold{Unknown: true}, began)

	found := recorder.Operations()
	if len(found) != 2 || found[0].Return < began || found[0].Return == math.MaxInt64 || found[1].Return != math.MaxInt64 {
		t.Errorf("recorded %+v", found)
	}

	if err := history.CheckLog("log", found, limit); err != nil {
		t.Error(err)
	}
}
