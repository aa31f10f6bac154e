package configload

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

func TestConfigurationsAreChecked(t *testing.T) {
	t.Parallel()

	for want, config := range map[string]Config{
		"prompt: nothing to load":                          {},
		"prompt.digest: required with https://x/p?...":     {Prompt: Source{URL: "https://x/p?token=hidden"}},
		"prompt.digest: required with http://x/p":          {Prompt: Source{URL: "http://x/p"}, AllowHTTP: true},
		`prompt.digest: "sha256:AB": must be sha256: and`:  {Prompt: Source{URL: "https://x/p", Digest: "sha256:AB"}},
		"tools.digest: \"sha256:":                          {Prompt: Source{URL: "/p"}, Tools: Source{Digest: digestOf(nil)}},
		"http is not encrypted":                            {Prompt: Source{URL: "http://x/p", Digest: digestOf(nil)}},
		"oci is not supported yet: want file:///path":      {Prompt: Source{URL: "oci://x/p:1"}},
		"the scheme ftp is unknown: want file:///path":     {Prompt: Source{URL: "ftp://x/p"}},
		`guardrails: "g.yaml": not a URL: want file:///`:   {Guardrails: Source{URL: "g.yaml"}},
		"without user and password":                        {Prompt: Source{URL: "https://ada:hidden@x/p"}},
		`prompt: "@x/%zz": not a URL`:                      {Prompt: Source{URL: "https://ada:hidden@x/%zz"}},
		"it names no host":                                 {Prompt: Source{URL: "https:///p"}},
		"without a fragment":                               {Prompt: Source{URL: "https://x/p#part"}},
		"with three slashes":                               {Prompt: Source{URL: "file://prompts/p.txt"}},
		"an absolute path, with three slashes":             {Prompt: Source{URL: "file:p.txt"}},
		"without query and fragment":                       {Prompt: Source{URL: "file:///p.txt?x"}},
		`revision: "zz": must be 12 to 64 hex digits`:      {Agent: "a.yaml", Revision: "zz"},
		`name: "billing": has a meaning with --agent only`: {Prompt: Source{URL: "/p"}, Name: "billing"},
		"timeout: -1s: must be more than 0":                {Prompt: Source{URL: "/p"}, Timeout: -time.Second},
		`out: "/dev/null": is a file`:                      {Prompt: Source{URL: "/p"}, Out: "/dev/null"},
		`out: "": must be the folder`:                      {Prompt: Source{URL: "/p"}, Out: " "},
	} {
		switch config.Out {
		case "":
			config.Out = t.TempDir()
		case " ":
			config.Out = ""
		}

		_, err := New(config)
		if fault.CodeOf(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// FuzzSource looks for URLs that are taken and should not be, and for secrets of others in messages.
func FuzzSource(f *testing.F) {
	for _, seed := range []string{
		"file:///etc/prompt.txt", "/etc/prompt.txt", "https://x.test/p?secret", "http://u:secret@x.test",
		"oci://x", "://", "https://u:secret@%zz",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		at, problem := parseSource(text)
		if problem != "" {
			return
		}

		switch {
		case at.Scheme == schemeFile && strings.HasPrefix(at.Path, "/"):
		case (at.Scheme == schemeHTTP || at.Scheme == schemeHTTPS) && at.Hostname() != "" && at.User == nil:
		default:
			t.Errorf("%q is taken as %v", text, at)
		}

		if at.RawQuery != "" && !strings.HasSuffix(shown(at), "?...") {
			t.Errorf("%q is shown as %s", text, shown(at))
		}
	})
}
