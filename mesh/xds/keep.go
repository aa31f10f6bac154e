package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/mesh/xds/objects"
)

const (
	keptDir = "in-force"
	// keptFormat is that of the files. A file of a later one is not read.
	keptFormat = 1
)

// keeper keeps on disk which versions of objects are in force, one file for each: the store has only the latest, and
// the last good one may be another. A file is replaced by a rename, so that a process killed at any point leaves the
// old one or the new one. There is no fsync: what the machine's own death leaves half written is told, and not used.
type keeper struct {
	dir    string // empty keeps nothing
	logger *slog.Logger
	// written says which version each file holds.
	written map[string]string
}

// kept is a file's contents.
type kept struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	// Hosts are those whose rule this is.
	Hosts  []string        `json:"hosts,omitempty"`
	Object json.RawMessage `json:"object"`
}

// openKeeper opens the files of a directory, which is made if missing; with an empty one, nothing is kept.
func openKeeper(dir string, logger *slog.Logger) (*keeper, error) {
	k := &keeper{logger: logger, written: map[string]string{}}
	if dir == "" {
		return k, nil
	}

	k.dir = filepath.Join(dir, keptDir)
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of what is in force: %w", err)
	}

	return k, nil
}

// restore gives a translator what was in force. What cannot be read, or not be translated by this release, is none.
func (k *keeper) restore(t *translator) error {
	if k.dir == "" {
		return nil
	}

	files, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("reading what is in force: %w", err)
	}

	t.last, t.lastRules = map[Ref]metav1.Object{}, map[string]*networkingv1.DestinationRule{}

	for _, file := range files {
		object, hosts, err := readKept(filepath.Join(k.dir, file.Name()))
		if err != nil {
			k.logger.Warn("what was in force cannot be used", "file", file.Name(), "error", err)
			k.written[file.Name()] = "" // replaced, or removed

			continue
		}

		k.written[file.Name()] = keptStamp(object, hosts)
		t.last[refOf(object)] = object

		if rule, ok := object.(*networkingv1.DestinationRule); ok {
			for _, host := range hosts {
				t.lastRules[host] = rule
			}
		}
	}

	return nil
}

// keep writes what is in force by now.
func (k *keeper) keep(t *translator) {
	if k.dir == "" {
		return
	}

	hosts := map[Ref][]string{}
	for host, rule := range t.lastRules {
		hosts[refOf(rule)] = append(hosts[refOf(rule)], host)
	}

	current := map[string]bool{}

	for ref, object := range t.last {
		if ref.Kind == objects.WorkloadEntry { // whoever supervises the process writes it anew
			continue
		}

		name := keptName(ref)
		current[name] = true
		slices.Sort(hosts[ref])

		if err := k.write(name, object, hosts[ref]); err != nil {
			k.logger.Error("what is in force cannot be kept for the next start", "object", ref.String(), "error", err)
		}
	}

	k.prune(current)
}

func (k *keeper) write(name string, object metav1.Object, hosts []string) error {
	version := keptStamp(object, hosts)
	if k.written[name] == version {
		return nil
	}

	text, err := json.Marshal(object)
	if err == nil {
		text, err = json.Marshal(kept{keptFormat, kindOf(object), hosts, text})
	}

	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}

	path := filepath.Join(k.dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("writing: %w", err)
	}

	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing: %w", err)
	}

	k.written[name] = version

	return nil
}

// prune removes the files of what is not in force any more.
func (k *keeper) prune(current map[string]bool) {
	for name := range k.written {
		if current[name] {
			continue
		}

		if err := os.Remove(filepath.Join(k.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.logger.Error("what is no longer in force cannot be removed", "file", name, "error", err)

			continue
		}

		delete(k.written, name)
	}
}

func readKept(path string) (metav1.Object, []string, error) {
	if strings.HasSuffix(path, ".new") {
		return nil, nil, errors.New("it was not written to its end")
	}

	text, err := os.ReadFile(path) //nolint:gosec // the path is configuration
	if err != nil {
		return nil, nil, fmt.Errorf("reading: %w", err)
	}

	var file kept
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, nil, fmt.Errorf("decoding: %w", err)
	}

	object := blank(file.Kind)
	if file.Format != keptFormat || object == nil {
		return nil, nil, fmt.Errorf("it is of format %d and kind %q, written by another release", file.Format, file.Kind)
	}

	if err := json.Unmarshal(file.Object, object); err != nil {
		return nil, nil, fmt.Errorf("decoding: %w", err)
	}

	found := inspect(object)

	return object, file.Hosts, found.err()
}

func blank(kind string) metav1.Object {
	switch kind {
	case objects.VirtualService:
		return &networkingv1.VirtualService{}
	case objects.DestinationRule:
		return &networkingv1.DestinationRule{}
	case objects.ServiceEntry:
		return &networkingv1.ServiceEntry{}
	case objects.AuthorizationPolicy:
		return &securityv1.AuthorizationPolicy{}
	case objects.PeerAuthentication:
		return &securityv1.PeerAuthentication{}
	default:
		return nil
	}
}

// keptName: names of objects may be too long for a file.
func keptName(ref Ref) string {
	digest := sha256.Sum256([]byte(ref.String()))

	return hex.EncodeToString(digest[:16]) + ".json"
}

func keptStamp(object metav1.Object, hosts []string) string {
	return stamp(object) + strings.Join(hosts, ",")
}
