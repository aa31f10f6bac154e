package agentspec

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// Resolve returns the agent with its defaults and with everything that it takes from other agents written out: the
// description of an agent that it hands off to, where it does not say itself when to. The prompt is inline already.
func (s *Set) Resolve(agent Agent) Agent {
	agent = agent.clone()

	for i := range agent.Spec.Handoffs {
		handoff := &agent.Spec.Handoffs[i]
		if other, ok := s.Agent(handoff.Agent); ok && handoff.When == "" {
			handoff.When = other.Spec.Description
		}
	}

	Default(&agent)

	return agent
}

// resolvePrompt puts the prompt's text in the place of its source.
func resolvePrompt(fsys fs.FS, doc *document) {
	prompt := &doc.agent.Spec.Prompt
	if prompt.File != "" && prompt.Inline == "" {
		prompt.Inline = readPrompt(fsys, doc.report, prompt.File)
	}

	const digest = "spec.prompt.digest"

	sum := sha256.Sum256([]byte(prompt.Inline))
	if got := "sha256:" + hex.EncodeToString(sum[:]); prompt.Digest != "" && prompt.Digest != got && !doc.report.follows(digest) &&
		!doc.report.follows("spec.prompt.file") {
		doc.report.add(digest, "the prompt has another digest: %s", got)
	}

	prompt.File, prompt.Digest = "", ""
}

func readPrompt(fsys fs.FS, report *report, file string) string {
	const field = "spec.prompt.file"

	name := path.Clean(strings.ReplaceAll(file, `\`, "/"))
	if !fs.ValidPath(name) || name == "." {
		report.add(field, "%s: want a path at or below the folder of this file", quote(file))

		return ""
	}

	data, err := read(fsys, name)

	switch {
	case err != nil:
		report.add(field, "%s: %s", quote(file), reason(err))
	case !utf8.Valid(data):
		report.add(field, "%s: not valid UTF-8", quote(file))
	case strings.TrimSpace(string(data)) == "":
		report.add(field, "%s: the prompt is blank", quote(file))
	}

	return string(data)
}
