package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
)

// ErrOvertaken says that someone else has written a record since it was read: another controller leads.
var ErrOvertaken = errors.New("another controller has written the record")

const (
	recordPrefix = "record."
	serversKey   = "servers"
)

// Store keeps records in the Agents' status, and revisions in immutable ConfigMaps. Numbers are not kept: they are counted
// again from the outcomes, of which a record holds the first.
type Store struct {
	config *Config

	mu sync.Mutex
	// documents are the records as they were read or written last.
	documents map[string]*document
	// turns are those at writing an Agent.
	turns     map[string]*semaphore.Weighted
	overtaken chan struct{}
	once      sync.Once
}

func newStore(config *Config) *Store {
	return &Store{
		config: config, documents: map[string]*document{}, turns: map[string]*semaphore.Weighted{}, overtaken: make(chan struct{}),
	}
}

// Overtaken is closed once a record was written by someone else: who holds the Store must not go on.
func (s *Store) Overtaken() <-chan struct{} { return s.overtaken }

// Load returns every agent's record, and takes it over: whoever wrote it can't any more.
func (s *Store) Load(ctx context.Context) ([]controller.Record, error) {
	found, err := s.read(ctx)
	if err != nil {
		return nil, err
	}

	records := make([]controller.Record, 0, len(found))

	for _, agent := range slices.Sorted(maps.Keys(found)) {
		record, err := s.restored(ctx, found[agent])
		if err != nil {
			return nil, fmt.Errorf("agent %s: %w", agent, err)
		}

		s.remember(agent, found[agent])

		if err := s.Save(ctx, record); err != nil {
			return nil, err
		}

		records = append(records, record)
	}

	return records, nil
}

// read returns all documents: those of Agents, and of agents that have no object.
func (s *Store) read(ctx context.Context) (map[string]*document, error) {
	found := map[string]*document{}

	kept, err := s.records(ctx)
	if err != nil {
		return nil, err
	}

	for key, data := range kept.Data {
		if agent, ok := strings.CutPrefix(key, recordPrefix); ok {
			if found[agent], err = readDocument([]byte(data)); err != nil {
				return nil, fmt.Errorf("ConfigMap %s: agent %s: %w", recordsMap, agent, err)
			}

			found[agent].homeless = true
		}
	}

	agents := &v1alpha1.AgentList{}
	if err := s.config.Reader.List(ctx, agents, client.InNamespace(s.config.Namespace)); err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}

	for i := range agents.Items {
		if record := agents.Items[i].Status.Record; record != nil {
			if found[agents.Items[i].Name], err = readDocument(record.Raw); err != nil {
				return nil, fmt.Errorf("agent %s: %w", agents.Items[i].Name, err)
			}
		}
	}

	return found, nil
}

// restored puts the prompt back. If the revision that has it is lost, the declaration is as good as unknown: it will be
// declared again.
func (s *Store) restored(ctx context.Context, read *document) (controller.Record, error) {
	record := read.Record
	if read.PromptOf == "" {
		return record, nil
	}

	revision, err := s.GetRevision(ctx, record.Agent, read.PromptOf)
	if fault.Is(err, "REVISION_UNKNOWN") {
		record.Declaration, record.Declared = "", ""

		return record, nil
	}

	if err != nil {
		return record, err
	}

	record.Declaration, err = withPrompt(record.Declaration, revision.Declaration)

	return record, err
}

// Save keeps a record and adds to the history. It returns [ErrOvertaken] if another controller has written since.
func (s *Store) Save(ctx context.Context, record controller.Record, entries ...controller.HistoryEntry) error {
	known := s.document(record.Agent)
	after := known.next(s.config.Holder, record, entries)

	object, err := s.write(ctx, known, after)
	if err != nil {
		if errors.Is(err, ErrOvertaken) {
			s.once.Do(func() { close(s.overtaken) })
		}

		return err
	}

	s.remember(record.Agent, after)
	s.tell(object, entries)
	s.prune(ctx, after)

	return nil
}

// write puts the document where it belongs.
func (s *Store) write(ctx context.Context, known, after *document) (*v1alpha1.Agent, error) {
	data, err := after.encode(func(short string) (string, bool) { return s.declaration(ctx, after.Record.Agent, short) })
	if err != nil {
		return nil, err
	}

	if after.Record.Gone {
		if err := s.writeKept(ctx, known, after, data); err != nil {
			return nil, err
		}

		return nil, s.release(ctx, after.Record.Agent)
	}

	object, err := s.writeStatus(ctx, known, after, data)

	switch {
	case apierrors.IsNotFound(err):
		return nil, s.writeKept(ctx, known, after, data)
	case err != nil:
		return nil, err
	case known != nil && known.homeless:
		return object, s.forgetKept(ctx, after.Record.Agent)
	default:
		return object, nil
	}
}

// mayWrite reports whether a document that is there is the one that was known, or the one that is to be written: its
// writer may not have heard that it was.
func mayWrite(there []byte, known, after *document) error {
	if len(there) == 0 {
		return nil
	}

	stored, err := readDocument(there)
	if err != nil {
		return err
	}

	mine := stored.Writes == after.Writes && stored.Holder == after.Holder
	if mine || known != nil && stored.Writes == known.Writes && stored.Holder == known.Holder {
		return nil
	}

	return fmt.Errorf("%w: %s did, for the %d. time", ErrOvertaken, stored.Holder, stored.Writes)
}

func (s *Store) document(agent string) *document {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.documents[agent]
}

func (s *Store) remember(agent string, now *document) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.documents[agent] = now
}

// History returns up to limit entries of an agent, newest first, with ids below before; 0 means from the newest.
func (s *Store) History(_ context.Context, agent string, before int64, limit int) ([]controller.HistoryEntry, error) {
	known := s.document(agent)
	if known == nil {
		return []controller.HistoryEntry{}, nil
	}

	entries := []controller.HistoryEntry{}

	for _, entry := range slices.Backward(known.History) {
		if len(entries) < limit && (before <= 0 || entry.ID < before) {
			entries = append(entries, entry)
		}
	}

	return entries, nil
}

// LoadServers returns the declarations of the tool servers that were kept.
func (s *Store) LoadServers(ctx context.Context) ([]string, error) {
	kept, err := s.records(ctx)
	if err != nil || kept.Data[serversKey] == "" {
		return nil, err
	}

	var servers []string
	if err := json.Unmarshal([]byte(kept.Data[serversKey]), &servers); err != nil {
		return nil, fmt.Errorf("ConfigMap %s: %s: %w", recordsMap, serversKey, err)
	}

	return servers, nil
}

// SaveServers keeps the declarations of the tool servers.
func (s *Store) SaveServers(ctx context.Context, servers []string) error {
	data, err := json.Marshal(servers)
	if err != nil {
		return fmt.Errorf("write the tool servers: %w", err)
	}

	return s.editKept(ctx, func(kept *corev1.ConfigMap) error {
		kept.Data[serversKey] = string(data)

		return nil
	})
}

// LoadNumbers returns none: all outcomes since the attempt began are read again.
func (s *Store) LoadNumbers(context.Context) (int64, map[string][]byte, error) { return 0, nil, nil }

// SaveNumbers keeps none.
func (s *Store) SaveNumbers(context.Context, int64, map[string][]byte) error { return nil }

// declaration returns what a revision declares, if it is kept.
func (s *Store) declaration(ctx context.Context, agent, short string) (string, bool) {
	if short == "" {
		return "", false
	}

	found, err := s.GetRevision(ctx, agent, short)

	return found.Declaration, err == nil
}
