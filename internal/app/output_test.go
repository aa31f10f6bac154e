package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrintValue(t *testing.T) {
	value := struct {
		Z    string   `json:"z"`
		A    []string `json:"a"`
		None []string `json:"none"`
		Text string   `json:"text"`
		N    int      `json:"count"`
		M    message  `json:"m"`
	}{"yes", []string{"1", "true", "x: y"}, []string{}, "two\nlines", 3, message{delta("m", 1, "x")}}

	for format, want := range map[outputFormat]string{
		formatJSON: `{
  "z": "yes",
  "a": [
    "1",
    "true",
    "x: y"
  ],
  "none": [],
  "text": "two\nlines",
  "count": 3,
  "m": {
    "turnId": "t1",
    "agent": "billing",
    "epoch": "1",
    "segment": 1,
    "textDelta": {
      "messageId": "m",
      "offset": "1",
      "text": "x"
    }
  }
}
`,
		formatYAML: `z: "yes"
a:
  - "1"
  - "true"
  - 'x: y'
none: []
text: |-
  two
  lines
count: 3
m:
  turnId: t1
  agent: billing
  epoch: "1"
  segment: 1
  textDelta:
    messageId: m
    offset: "1"
    text: x
`,
	} {
		out := &strings.Builder{}
		if err := printValue(out, format, value); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestPrintTable(t *testing.T) {
	for _, test := range []struct {
		env  Env
		want string
	}{
		{Env{}, "NAME   WHAT\na\x20\x20\x20\x20\x20\x20b c\n"},
		{Env{IsTerminal: true}, "\x1b[1mNAME   WHAT\x1b[22m\na      b c\n"},
		{Env{IsTerminal: true, Getenv: func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }}, "NAME   WHAT\na      b c\n"},
	} {
		out := &strings.Builder{}
		test.env.Stdout = out

		if err := printTable(&test.env, []string{"NAME", "WHAT"}, [][]string{{"a", "b\n\x1bc"}}); err != nil {
			t.Fatal(err)
		}

		if out.String() != test.want {
			t.Errorf("%q, want %q", out, test.want)
		}
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "abcd": "ab…", "äöüß": "äö…"} {
		if got := clip(in, 3); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
