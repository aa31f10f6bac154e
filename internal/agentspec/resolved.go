package agentspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

var errUnresolved = Problems{{Field: "spec.prompt", Message: "the agent is not resolved: the prompt must be inline"}}

// MarshalResolved writes a resolved agent as canonical JSON: what the agent's process loads.
func MarshalResolved(agent Agent) ([]byte, error) {
	if !agent.Spec.Prompt.isResolved() {
		return nil, errUnresolved
	}

	agent = agent.clone()
	Default(&agent)

	out := &bytes.Buffer{}
	canonical(out, tree(reflect.ValueOf(agent), func(field, reflect.Value) bool { return true }))

	return out.Bytes(), nil
}

// UnmarshalResolved reads what [MarshalResolved] wrote. The error is [Problems] if the agent is not valid.
func UnmarshalResolved(data []byte) (Agent, error) {
	agent := Agent{}

	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()

	if err := decoder.Decode(&agent); err != nil {
		return Agent{}, fmt.Errorf("not a resolved agent: %w", err)
	}

	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Agent{}, errors.New("not a resolved agent: something follows the object")
	}

	if problems := agent.Validate(); len(problems) > 0 {
		return Agent{}, problems
	}

	if !agent.Spec.Prompt.isResolved() {
		return Agent{}, errUnresolved
	}

	Default(&agent)

	return agent, nil
}

// ResolvedName is the name of the file for an agent's revision: <agent>-<12 hex digits>.json.
func ResolvedName(agent Agent) string {
	return agent.Metadata.Name + "-" + Short(Revision(agent)) + ".json"
}

var resolvedForm = regexp.MustCompile(`(?:^|-)([0-9a-f]{12}|[0-9a-f]{64})$`)

// LoadResolved reads a resolved agent and verifies its revision against the expected one (at least its 12 first hex
// digits), or, if that is empty, against the file's name, which ends in 12 or 64 hex digits then.
func LoadResolved(path, expected string) (Agent, error) {
	if expected == "" {
		base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))

		found := resolvedForm.FindStringSubmatch(base)
		if found == nil {
			return Agent{}, fmt.Errorf("%s: its name does not end in a revision, and none is expected", path)
		}

		expected = found[1]
	}

	data, err := os.ReadFile(path) //nolint:gosec // the supervisor or the pod's template names the file
	if err != nil {
		return Agent{}, fmt.Errorf("resolved agent: %w", err)
	}

	agent, err := UnmarshalResolved(data)
	if err != nil {
		return Agent{}, fmt.Errorf("%s: %w", path, err)
	}

	if got := Revision(agent); len(expected) < shortLength || !strings.HasPrefix(got, expected) {
		return Agent{}, fmt.Errorf("%s: its content is revision %s, and %s is expected", path, got, expected)
	}

	return agent, nil
}
