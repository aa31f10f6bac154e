package ambassador

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// keyCheck is how often key files are looked at for a change.
const keyCheck = time.Second

// keyring holds a provider's keys: those given, and those in files, which are read again when they change.
type keyring struct {
	fixed  []string
	files  []string
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	checked time.Time
	read    map[string][]byte
	keys    []string
	next    int
}

func newKeyring(fixed, files []string, logger *slog.Logger) *keyring {
	return &keyring{fixed: fixed, files: files, logger: logger, now: time.Now, read: map[string][]byte{}, keys: fixed}
}

// configured reports whether the provider needs a key at all.
func (k *keyring) configured() bool { return len(k.fixed)+len(k.files) > 0 }

// order returns all keys, starting with another one each time so that load spreads over them. Without any
// configured it is one empty key.
func (k *keyring) order() []string {
	if !k.configured() {
		return []string{""}
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	k.refresh()

	if len(k.keys) <= 1 {
		return k.keys
	}

	k.next = (k.next + 1) % len(k.keys)

	return slices.Concat(k.keys[k.next:], k.keys[:k.next])
}

func (k *keyring) refresh() {
	now := k.now()
	if len(k.files) == 0 || now.Sub(k.checked) < keyCheck && !k.checked.IsZero() {
		return
	}

	k.checked = now
	keys := slices.Clone(k.fixed)

	for _, file := range k.files {
		k.reread(file)
		keys = append(keys, lines(k.read[file])...)
	}

	k.keys = keys
}

// reread keeps what was read before when a file can't be read: a rotation replaces it in a moment.
func (k *keyring) reread(file string) {
	content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		k.logger.LogAttrs(context.Background(), slog.LevelWarn, "API key file can't be read", slog.Any("error", err))

		return
	}

	if old, known := k.read[file]; known && !bytes.Equal(old, content) {
		k.logger.LogAttrs(context.Background(), slog.LevelInfo, "API keys changed", slog.String("file", file))
	}

	k.read[file] = content
}

func lines(content []byte) []string {
	keys := []string{}

	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			keys = append(keys, line)
		}
	}

	return keys
}
