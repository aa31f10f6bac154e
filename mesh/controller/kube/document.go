package kube

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/controller"
)

const (
	// documentVersion is of the form in which records are written; older forms are read.
	documentVersion = 1
	// keptHistory is how many entries of each agent are kept: they are a part of the Agent, which every watcher gets.
	keptHistory = 50
)

// document is what is kept of one agent: in its status, or in a ConfigMap while there is no such Agent.
type document struct {
	Version int `json:"version"`
	// Writes counts, and Holder wrote last: who knows of another count is not the one who leads.
	Writes int64             `json:"writes"`
	Holder string            `json:"holder"`
	Record controller.Record `json:"record"`
	// PromptOf is the revision whose prompt the record's declaration has: it is left out there, since an object has room
	// for it once or twice, but not more often.
	PromptOf string `json:"promptOf,omitempty"`
	// History is oldest first.
	History []controller.HistoryEntry `json:"history,omitempty"`
	// Last is the id of the last entry ever.
	Last int64 `json:"last,omitempty"`

	// homeless says that there was no Agent to write it to.
	homeless bool
}

func readDocument(data []byte) (*document, error) {
	read := &document{}
	if err := json.Unmarshal(data, read); err != nil {
		return nil, fmt.Errorf("the record can't be read: %w", err)
	}

	if read.Version < 1 || read.Version > documentVersion {
		return nil, fmt.Errorf("the record has version %d, and this is a Serin that knows up to %d: it must not be older than the "+
			"one that wrote it", read.Version, documentVersion)
	}

	return read, nil
}

// next returns the document after it, with another record.
func (d *document) next(holder string, record controller.Record, entries []controller.HistoryEntry) *document {
	after := &document{Version: documentVersion, Writes: 1, Holder: holder, Record: record}
	if d != nil {
		after.Writes, after.Last = d.Writes+1, d.Last
		after.History = append(after.History, d.History...)
	}

	for _, entry := range entries {
		after.Last++
		entry.ID = after.Last
		after.History = append(after.History, entry)
	}

	after.History = after.History[max(len(after.History)-keptHistory, 0):]

	return after
}

// names are the revisions that the document speaks of.
func (d *document) names() []string {
	names := d.Record.Names()
	for _, entry := range d.History {
		names = append(names, entry.After.Stable, entry.After.Candidate)
	}

	return names
}

// encode writes the document down, without the prompt if that is the same as in the declared revision.
func (d *document) encode(revision func(short string) (string, bool)) ([]byte, error) {
	written := *d

	if declared, ok := revision(d.Record.Declared); ok {
		if bare, ok := withoutPrompt(d.Record.Declaration, declared); ok {
			written.Record.Declaration, written.PromptOf = bare, d.Record.Declared
		}
	}

	data, err := json.Marshal(written)
	if err != nil {
		return nil, fmt.Errorf("write the record: %w", err)
	}

	return data, nil
}

// withoutPrompt leaves the prompt out of a declaration, if the revision has the same.
func withoutPrompt(declaration, revision string) (string, bool) {
	declared, err := parse(declaration)
	if err != nil || declared.Spec.Prompt.Inline == "" {
		return "", false
	}

	other, err := parse(revision)
	if err != nil || other.Spec.Prompt.Inline != declared.Spec.Prompt.Inline {
		return "", false
	}

	declared.Spec.Prompt.Inline = ""
	bare, err := agentspec.MarshalResolved(declared)

	return string(bare), err == nil
}

// withPrompt puts the prompt back.
func withPrompt(bare, revision string) (string, error) {
	declared, err := parse(bare)
	if err != nil {
		return "", err
	}

	from, err := parse(revision)
	if err != nil {
		return "", err
	}

	declared.Spec.Prompt.Inline = from.Spec.Prompt.Inline

	data, err := agentspec.MarshalResolved(declared)
	if err != nil {
		return "", fmt.Errorf("the declaration: %w", err)
	}

	return string(data), nil
}

func parse(declaration string) (agentspec.Agent, error) {
	var agent agentspec.Agent

	decoder := json.NewDecoder(bytes.NewReader([]byte(declaration)))
	if err := decoder.Decode(&agent); err != nil {
		return agent, fmt.Errorf("the declaration can't be read: %w", err)
	}

	return agent, nil
}
