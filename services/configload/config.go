package configload

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/serinhq/serin/internal/fault"
)

// Source is where a part comes from.
type Source struct {
	// URL is file:// and an absolute path, the path alone, https:// or http://. A folder, such as a mounted ConfigMap, has
	// the part under one of its usual names: see [Parts].
	URL string
	// Digest is sha256: and 64 hex digits over the part's bytes.
	Digest string
}

// Config says what is loaded, and where to. At least one part or the agent must be given.
type Config struct {
	// Prompt, Tools and Guardrails are the parts; without a URL, a part is not loaded.
	Prompt, Tools, Guardrails Source
	// Agent is the path of an agent's file, in which the parts take the place of what it says itself. Name says which agent
	// of the file is meant, if it has several.
	Agent, Name string
	// Revision is what the outcome must be: 12 to 64 hex digits. Empty takes what comes out.
	Revision string
	// Out is the folder that everything is written to; it is made if it is not there.
	Out string

	// Timeout limits the whole run; 0 is 30 s.
	Timeout time.Duration
	// Backoff is the wait before a store is asked for the second time; it doubles from then on. 0 is 200 ms.
	Backoff time.Duration
	// Unpinned lets what comes over a network come without a digest.
	Unpinned bool
	// AllowHTTP lets stores be asked without TLS.
	AllowHTTP bool
	// AllowPrivate lets addresses of this machine and of private networks be asked.
	AllowPrivate bool
	// RootCAs are whose certificates stores may have; nil is the system's.
	RootCAs *x509.CertPool
}

const (
	defaultTimeout = 30 * time.Second
	defaultBackoff = 200 * time.Millisecond
)

var (
	digestForm   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	revisionForm = regexp.MustCompile(`^[0-9a-f]{12,64}$`)
)

// violations collects what is wrong with a configuration. Fields are named as the command's flags, with a dot for a dash.
type violations []fault.Violation

func (v *violations) add(field, format string, args ...any) {
	*v = append(*v, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
}

// sources are the parts that are wanted, with their parsed URLs, in the order in which they are loaded.
func (c *Config) sources(found *violations) []wanted {
	all := []wanted{}

	for _, part := range parts {
		source := part.source(c)
		field := string(part.name)

		if source.URL == "" {
			if source.Digest != "" {
				found.add(field+".digest", "%q: has a meaning with %s only, the URL that it is the digest of", source.Digest, field)
			}

			continue
		}

		if source.Digest != "" && !digestForm.MatchString(source.Digest) {
			found.add(field+".digest", "%q: must be sha256: and 64 hex digits in lower case, as sha256sum prints them", source.Digest)
		}

		at, problem := parseSource(source.URL)
		if problem == "" {
			problem = c.refuses(at)
		}

		switch {
		case problem != "":
			found.add(field, "%q: %s", hideSecrets(source.URL), problem)
		case at.Scheme != schemeFile && source.Digest == "" && !c.Unpinned:
			found.add(field+".digest", "required with %s: sha256: and the 64 hex digits that sha256sum prints of it, or --unpinned",
				shown(at))
		}

		all = append(all, wanted{part: part, at: at, digest: source.Digest})
	}

	return all
}

// refuses says why a URL is not asked; empty if it is.
func (c *Config) refuses(at *url.URL) string {
	if at.Scheme == schemeHTTP && !c.AllowHTTP {
		return "http is not encrypted: give an https:// URL, or --allow-http"
	}

	return ""
}

func (c *Config) check() ([]wanted, error) {
	found := violations{}
	sources := c.sources(&found)

	if len(sources) == 0 && c.Agent == "" {
		found.add("prompt", "nothing to load: want at least one of --prompt, --tools, --guardrails and --agent")
	}

	if c.Out == "" {
		found.add("out", `"": must be the folder to write to, such as /config`)
	} else if info, err := os.Stat(c.Out); err == nil && !info.IsDir() {
		found.add("out", "%q: is a file, and must be a folder", c.Out)
	}

	if c.Agent == "" {
		for _, unused := range []struct{ field, value string }{{"name", c.Name}, {"revision", c.Revision}} {
			if unused.value != "" {
				found.add(unused.field, "%q: has a meaning with --agent only, the agent's file", unused.value)
			}
		}
	}

	if c.Revision != "" && !revisionForm.MatchString(c.Revision) {
		found.add("revision", "%q: must be 12 to 64 hex digits in lower case, as serin agents list shows them", c.Revision)
	}

	if c.Timeout < 0 {
		found.add("timeout", "%s: must be more than 0, such as 30s", c.Timeout)
	}

	if len(found) > 0 {
		return nil, fault.Invalid(found...)
	}

	return sources, nil
}

func (c *Config) timeout() time.Duration { return cmp.Or(c.Timeout, defaultTimeout) }
func (c *Config) backoff() time.Duration { return cmp.Or(c.Backoff, defaultBackoff) }
