package loadtest

import (
	"slices"
	"strings"
	"testing"
)

func TestParseDialogues(t *testing.T) {
	got, err := ParseDialogues(strings.NewReader("# two of them\nHello\n  How are you? \n\n\n# and\nBye"))
	if err != nil || len(got) != 2 || !slices.Equal(got[0], Dialogue{"Hello", "How are you?"}) || !slices.Equal(got[1], Dialogue{"Bye"}) {
		t.Error(got, err)
	}

	for _, text := range []string{"", "# nothing\n\n", strings.Repeat("x", 1<<20)} {
		if _, err := ParseDialogues(strings.NewReader(text)); err == nil {
			t.Errorf("%d bytes are taken", len(text))
		}
	}
}

func FuzzParseDialogues(f *testing.F) {
	f.Add("a\n\nb")
	f.Fuzz(func(t *testing.T, text string) {
		dialogues, err := ParseDialogues(strings.NewReader(text))
		if (err == nil) != (len(dialogues) > 0) {
			t.Error(dialogues, err)
		}

		for _, dialogue := range dialogues {
			if len(dialogue) == 0 || slices.Contains(dialogue, "") {
				t.Errorf("%q", dialogues)
			}
		}
	})
}
