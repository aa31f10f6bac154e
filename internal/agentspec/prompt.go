package agentspec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// ConfigMaps reads the ConfigMaps of a cluster.
//
// +kubebuilder:object:generate=false
type ConfigMaps interface {
	// ConfigMapKey returns the text under a key of a ConfigMap; false if there is no such ConfigMap or key.
	ConfigMapKey(ctx context.Context, namespace, name, key string) (text string, found bool, err error)
}

const (
	promptFile      = "spec.prompt.file"
	promptDigest    = "spec.prompt.digest"
	promptConfigMap = "spec.prompt.configMapKeyRef"
	blankPrompt     = "the prompt is blank"
)

// ResolvePrompt returns the agent of a cluster with its prompt's text in the place of its source. The error is [Problems]
// if the agent, or what it refers to, is wrong, and otherwise what reading the ConfigMap failed with, which may pass.
func ResolvePrompt(ctx context.Context, agent Agent, configMaps ConfigMaps) (Agent, error) {
	agent = agent.clone()
	prompt := &agent.Spec.Prompt

	if prompt.File != "" {
		return Agent{}, errUnresolved
	}

	if ref := prompt.ConfigMapKeyRef; ref != nil {
		text, found, err := configMaps.ConfigMapKey(ctx, agent.Metadata.Namespace, ref.Name, ref.Key)
		if err != nil {
			return Agent{}, fmt.Errorf("%s: %w", promptConfigMap, err)
		}

		if problem := configMapProblem(&agent, text, found); problem != "" {
			return Agent{}, Problems{{Field: promptConfigMap, Message: problem}}
		}

		prompt.Inline = text
	}

	if problem := prompt.digestProblem(); problem != "" {
		return Agent{}, Problems{{Field: promptDigest, Message: problem}}
	}

	prompt.ConfigMapKeyRef, prompt.Digest = nil, ""

	return agent, nil
}

// isResolved reports whether the text is here, or is missing altogether.
func (p *Prompt) isResolved() bool { return p.File == "" && p.ConfigMapKeyRef == nil }

// configMapProblem says what is wrong with what a ConfigMap has.
func configMapProblem(agent *Agent, text string, found bool) string {
	ref := agent.Spec.Prompt.ConfigMapKeyRef

	switch {
	case !found:
		return fmt.Sprintf("no ConfigMap %s with the key %s in the namespace %s",
			quote(ref.Name), quote(ref.Key), quote(agent.Metadata.Namespace))
	case !utf8.ValidString(text):
		return "not valid UTF-8"
	case isBlank(text):
		return blankPrompt
	default:
		return ""
	}
}

// digestProblem compares the digest that was declared, if one was, with that of the text.
func (p *Prompt) digestProblem() string {
	sum := sha256.Sum256([]byte(p.Inline))
	if got := "sha256:" + hex.EncodeToString(sum[:]); p.Digest != "" && p.Digest != got {
		return p.Digest + " is declared, and the prompt's is " + got
	}

	return ""
}

// resolveHere puts the prompt's text in the place of its source, as far as one machine has that.
func resolveHere(fsys fs.FS, doc *document) {
	prompt := &doc.agent.Spec.Prompt
	if prompt.File != "" && prompt.Inline == "" {
		prompt.Inline = readPrompt(fsys, doc.report, prompt.File)
	}

	if prompt.ConfigMapKeyRef != nil && !doc.report.follows(promptConfigMap) {
		doc.report.add(promptConfigMap, "only a cluster has ConfigMaps: to run it here, give prompt.inline or prompt.file instead")
	}

	problem := prompt.digestProblem()
	if problem != "" && !doc.report.follows(promptDigest) && !doc.report.follows(promptFile) && !doc.report.follows(promptConfigMap) {
		doc.report.add(promptDigest, "%s", problem)
	}

	prompt.File, prompt.ConfigMapKeyRef, prompt.Digest = "", nil, ""
}

func readPrompt(fsys fs.FS, report *report, file string) string {
	name := path.Clean(strings.ReplaceAll(file, `\`, "/"))
	if !fs.ValidPath(name) || name == "." {
		report.add(promptFile, "%s: want a path at or below the folder of this file", quote(file))

		return ""
	}

	data, err := read(fsys, name)

	switch {
	case err != nil:
		report.add(promptFile, "%s: %s", quote(file), reason(err))
	case !utf8.Valid(data):
		report.add(promptFile, "%s: not valid UTF-8", quote(file))
	case isBlank(string(data)):
		report.add(promptFile, "%s: %s", quote(file), blankPrompt)
	}

	return string(data)
}
