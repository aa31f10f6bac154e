package agentspec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
)

// shortLength is how many hex digits a revision has where a person reads it.
const shortLength = 12

// Revision returns the name of the agent's behaviour: sha256 in hex over the canonical form of its name and of every
// field of its spec that is tagged as part of the revision, after the defaulter, without the values that are defaults.
// The agent must be resolved, as [Load] returns it. The agent itself is not changed.
func Revision(agent Agent) string {
	sum := sha256.Sum256(revisionForm(agent))

	return hex.EncodeToString(sum[:])
}

// Short returns the first 12 hex digits of a revision, its short name.
func Short(revision string) string { return revision[:min(len(revision), shortLength)] }

// revisionForm is what the revision covers.
func revisionForm(agent Agent) []byte {
	agent = agent.clone()
	Default(&agent)

	out := &bytes.Buffer{}
	canonical(out, map[string]any{
		"name": agent.Metadata.Name,
		"spec": tree(reflect.ValueOf(agent.Spec), isBehaviour),
	})

	return out.Bytes()
}

// isBehaviour drops fields that are not part of the revision, and values that are what the field means anyway.
func isBehaviour(f field, value reflect.Value) bool {
	if f.tag.Get("revision") == "no" {
		return false
	}

	fallback, ok := f.fallback()

	return !ok || !reflect.DeepEqual(value.Interface(), fallback.Interface())
}
