package contextstore

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// withdrawals reads "1:b>a" as: attempt 1 withdrew b in favour of a; they came in the order of the text.
func withdrawals(text string) []Withdrawal {
	words := strings.Fields(text)
	found := make([]Withdrawal, 0, len(words))

	for i, word := range words {
		found = append(found, Withdrawal{
			Attempt: int64(word[0] - '0'), Revision: word[2:3], Replacement: word[4:5], Position: int64(i + 1), Cause: "undone",
		})
	}

	return found
}

func TestResolve(t *testing.T) {
	for _, test := range []struct {
		name, log, revision string
		withdrawn           bool
		successor           string
	}{
		{"nothing was withdrawn", "", "a", false, "a"},
		{"another was withdrawn", "1:b>a", "a", false, "a"},
		{"withdrawn", "1:b>a", "b", true, "a"},
		{"a chain", "1:a>b 2:b>c 3:c>d", "a", true, "d"},
		{"the middle of a chain", "1:a>b 2:b>c", "b", true, "c"},
		{"aborted, then promoted by a later attempt", "1:b>a 2:a>b", "b", false, "b"},
		{"replaced by what was aborted before", "1:b>a 2:a>b", "a", true, "b"},
		{"promoted and undone within one attempt", "1:a>b 1:b>a", "a", false, "a"},
		{"undone within one attempt", "1:a>b 1:b>a", "b", true, "a"},
		{"reinstated for a retry", "1:b>a 2:b>b", "b", false, "b"},
		{"aborted again after a retry", "1:b>a 2:b>b 2:b>a", "b", true, "a"},
		{"an old withdrawal that comes late", "2:b>b 1:b>a", "b", false, "b"},
		{"a ring ends where the last attempt points", "1:a>b 2:b>c 3:c>a", "b", true, "a"},
		{"a ring is no ring at its end", "1:a>b 2:b>c 3:c>a", "a", false, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := resolve(withdrawals(test.log), test.revision)
			if got.withdrawn != test.withdrawn || got.successor != test.successor {
				t.Errorf("resolve(%q, %q) = %+v, want withdrawn %v, successor %q",
					test.log, test.revision, got, test.withdrawn, test.successor)
			}
		})
	}
}

// TestIdleDecidesNothing: without the withdrawals that are idle, all revisions resolve to the same.
func TestIdleDecidesNothing(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	revision := rapid.SampledFrom([]string{"a", "b", "c", "d"})

	rapid.Check(t, func(t *rapid.T) {
		all := make([]Withdrawal, rapid.IntRange(0, 12).Draw(t, "rows"))
		for i := range all {
			all[i] = Withdrawal{
				Revision: revision.Draw(t, "revision"), Replacement: revision.Draw(t, "replacement"),
				Attempt: rapid.Int64Range(1, 6).Draw(t, "attempt"), Position: int64(i + 1), Cause: "aborted",
				WithdrawnAt: now.Add(-rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "age")),
			}
		}

		kept := all
		for _, row := range idle(all, now.Add(-time.Minute)) {
			if row.WithdrawnAt.Equal(now) {
				t.Fatalf("%+v is not old enough", row)
			}

			kept = without(kept, row)
		}

		for _, revision := range []string{"a", "b", "c", "d", "e"} {
			if before, after := resolve(all, revision), resolve(kept, revision); before != after {
				t.Fatalf("%s resolves to %+v, without what is idle to %+v: %+v, %+v", revision, before, after, all, kept)
			}
		}

		if len(kept) > 0 && len(idle(kept, now.Add(-time.Minute))) > 0 {
			t.Fatalf("what is left is idle: %+v", kept)
		}
	})
}

func TestWhatIsIdle(t *testing.T) {
	for log, want := range map[string]int{
		"": 0, "1:b>a": 0, "1:b>a 2:b>b": 0, "1:b>a 2:b>b 3:b>a": 2, "1:b>a 2:c>a": 0, "1:b>a 2:b>b 3:c>b 4:a>c": 2,
	} {
		if got := idle(withdrawals(log), time.Unix(0, 0)); len(got) != want {
			t.Errorf("%q: %+v are idle, want %d", log, got, want)
		}
	}
}

func without(rows []Withdrawal, row Withdrawal) []Withdrawal {
	kept := []Withdrawal{}

	for _, one := range rows {
		if one != row {
			kept = append(kept, one)
		}
	}

	return kept
}
