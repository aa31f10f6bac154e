package gateway

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
	"time"
)

// Tokens are the bearer tokens that a gateway accepts. They are kept as sha256 only.
type Tokens struct {
	path string

	mu      sync.RWMutex
	entries map[[sha256.Size]byte]Principal
	seen    fileVersion
}

// fileVersion is how a change of the file is noticed.
type fileVersion struct {
	modified time.Time
	size     int64
	mode     os.FileMode
}

// LoadTokens reads a token file: a YAML list of entries, each with token (or tokenSHA256, 64 hex digits), tenant, user
// and role (user, the default, or operator). The file must not be open to other users of the machine. Errors name file,
// line and field.
func LoadTokens(path string) (*Tokens, error) {
	tokens := &Tokens{path: path}
	if _, err := tokens.Refresh(); err != nil {
		return nil, err
	}

	return tokens, nil
}

// ParseTokens makes tokens out of a token file's contents; name is for error messages.
func ParseTokens(name string, data []byte) (*Tokens, error) {
	entries, err := parseTokenFile(name, data)
	if err != nil {
		return nil, err
	}

	return &Tokens{entries: entries}, nil
}

// Authenticate returns whose token this is. Tokens are found by their sha256: what timing could tell is about the digest
// of a guess, which is of no use for the next guess.
func (t *Tokens) Authenticate(token string) (Principal, bool) {
	digest := sha256.Sum256([]byte(token))

	t.mu.RLock()
	defer t.mu.RUnlock()

	principal, ok := t.entries[digest]

	return principal, ok
}

// Refresh reads the file again if it changed. On an error the tokens stay as they were, and the same broken file is not
// reported twice.
func (t *Tokens) Refresh() (changed bool, err error) {
	if t.path == "" {
		return false, nil
	}

	info, err := os.Stat(t.path)
	if err != nil {
		return false, t.unreadable(err)
	}

	version := fileVersion{modified: info.ModTime(), size: info.Size(), mode: info.Mode()}
	if !t.note(version) {
		return false, nil
	}

	entries, err := readTokenFile(t.path, info.Mode())
	if err != nil {
		return false, err
	}

	t.mu.Lock()
	t.entries = entries
	t.mu.Unlock()

	return true, nil
}

// unreadable reports once that the file is gone.
func (t *Tokens) unreadable(err error) error {
	if !t.note(fileVersion{size: -1}) {
		return nil
	}

	return fmt.Errorf("token file: %w", err)
}

// note remembers the file's version, and reports whether it is another than before.
func (t *Tokens) note(version fileVersion) bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.seen == version {
		return false
	}

	t.seen = version

	return true
}
