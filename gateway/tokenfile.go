package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// minTokenLength is what a token needs at least so that it can't be guessed.
const minTokenLength = 16

type tokenEntries = map[[sha256.Size]byte]Principal

// tokenEntry is one entry of the file, with the lines that its fields are on.
type tokenEntry struct {
	token, tokenSHA256, tenant, user, role string

	line  int
	lines map[string]int
}

func readTokenFile(path string, mode os.FileMode) (tokenEntries, error) {
	if open := mode.Perm() & 0o027; open != 0 {
		return nil, fmt.Errorf("token file %s: mode %04o lets others at it; run: chmod 600 %s", path, mode.Perm(), path)
	}

	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}

	return parseTokenFile(path, data)
}

func parseTokenFile(name string, data []byte) (tokenEntries, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}

	if len(document.Content) == 0 || document.Content[0].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s:1: must be a list of entries, such as: - {token: ..., tenant: default, user: ann, role: user}", name)
	}

	entries := tokenEntries{}
	lines := map[[sha256.Size]byte]int{}

	var problems []error

	for i, node := range document.Content[0].Content {
		digest, entry, err := decodeTokenEntry(node)

		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s:%w", name, err))
		case lines[digest] != 0:
			problems = append(problems, fmt.Errorf("%s:%d: [%d].token: the same token as on line %d", name, entry.line, i, lines[digest]))
		default:
			lines[digest] = entry.line
			entries[digest] = Principal{Tenant: entry.tenant, User: entry.user, Role: Role(entry.role)}
		}
	}

	return entries, errors.Join(problems...)
}

func decodeTokenEntry(node *yaml.Node) (digest [sha256.Size]byte, entry *tokenEntry, err error) {
	entry, err = tokenFields(node)
	if err != nil {
		return digest, nil, err
	}

	if err := entry.check(); err != nil {
		return digest, nil, err
	}

	if entry.token != "" {
		return sha256.Sum256([]byte(entry.token)), entry, nil
	}

	decoded, err := hex.DecodeString(entry.tokenSHA256)
	if err != nil || len(decoded) != sha256.Size {
		return digest, nil, entry.problem("tokenSHA256", "must be 64 hex digits: the output of `printf %%s TOKEN | sha256sum`")
	}

	return [sha256.Size]byte(decoded), entry, nil
}

// tokenFields reads a mapping of known names to strings.
func tokenFields(node *yaml.Node) (*tokenEntry, error) {
	entry := &tokenEntry{role: string(RoleUser), line: node.Line, lines: map[string]int{}}
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%d: must be a mapping with token (or tokenSHA256), tenant, user and role", node.Line)
	}

	fields := map[string]*string{
		"token": &entry.token, "tokenSHA256": &entry.tokenSHA256, "tenant": &entry.tenant, "user": &entry.user, "role": &entry.role,
	}

	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]

		field, known := fields[key.Value]

		switch {
		case !known:
			return nil, fmt.Errorf("%d: %s: unknown field; allowed are token, tokenSHA256, tenant, user, role", key.Line, key.Value)
		case entry.lines[key.Value] != 0:
			return nil, fmt.Errorf("%d: %s: given twice", key.Line, key.Value)
		case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
			return nil, fmt.Errorf("%d: %s: must be a string (put it in quotes)", value.Line, key.Value)
		}

		*field = value.Value
		entry.lines[key.Value] = value.Line
	}

	return entry, nil
}

func (e *tokenEntry) check() error {
	switch {
	case (e.token == "") == (e.tokenSHA256 == ""):
		return e.problem("token", "set exactly one of token and tokenSHA256")
	case e.token != "" && len(e.token) < minTokenLength:
		return e.problem("token", "must have at least %d characters; try: openssl rand -hex 24", minTokenLength)
	case strings.ContainsAny(e.token, " \t\r\n"):
		return e.problem("token", "must not have white space")
	case e.tenant == "" || len(e.tenant) > 128:
		return e.problem("tenant", "must have 1 to 128 bytes")
	case e.user == "" || len(e.user) > 256:
		return e.problem("user", "must have 1 to 256 bytes")
	case e.role != string(RoleUser) && e.role != string(RoleOperator):
		return e.problem("role", "%q is not a role; must be user or operator", e.role)
	default:
		return nil
	}
}

// problem names the line of the field, or of the entry if the field is missing.
func (e *tokenEntry) problem(field, format string, args ...any) error {
	line := e.line
	if at := e.lines[field]; at != 0 {
		line = at
	}

	return fmt.Errorf("%d: %s: %s", line, field, fmt.Sprintf(format, args...))
}
