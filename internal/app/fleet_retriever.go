package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/serinhq/serin/internal/agentspec"
)

// retrieverName is the process that finds documents for an agent's revisions: those that declare the same documents share it,
// so that a change of a prompt neither reads nor embeds them anew. It is empty for a revision without documents.
func retrieverName(spec agentspec.Agent) string {
	declared := spec.Spec.Retriever
	if declared == nil {
		return ""
	}

	// How many passages a prompt takes, and how long it waits for them, is the agent's affair.
	text, err := json.Marshal([]any{declared.Documents, declared.Model})
	if err != nil { // texts always marshal
		return ""
	}

	sum := sha256.Sum256(text)

	return spec.Metadata.Name + "-retriever-" + hex.EncodeToString(sum[:4])
}

// retrievers are those that shall run, by process, each with a revision that declares its documents: so many of each.
func (c crew) retrievers(replicas int) map[string]member {
	all := map[string]member{}

	for _, one := range c.members(replicas) {
		if name := retrieverName(one.spec); name != "" {
			all[replicaName(name, one.replica)] = one
		}
	}

	return all
}

// startRetriever plans a retriever's process and hands it to the supervisor. Its replicas accept at one socket, each with
// an index of its own, which one process writes.
func (f *fleet) startRetriever(name string, of member) error {
	p := f.platform

	var first *plannedWorkload
	if of.replica > 0 {
		if first = f.staying(retrieverName(of.spec)); first == nil {
			return fmt.Errorf("the first replica of %s does not run yet", name)
		}
	}

	if err := p.issue(of.agent); err != nil {
		return err
	}

	file, err := p.storeRevision(of.agent, of.revision, of.resolved)
	if err != nil {
		return err
	}

	planned, err := p.planned(retrieverName(of.spec), of.replica, first, stageServices, workloadConfig{
		Room: "retriever", Name: of.agent, Retriever: &retrieverSettings{
			File: file, Revision: of.revision, Index: p.data.join("retriever", name+".db"), Folder: p.documentsFolder(),
		},
	}, "retriever", "http")
	if err != nil {
		return err
	}

	return f.launch(name, planned)
}

// documentsFolder is where the folders are that agents declare: that of their files.
func (p *Platform) documentsFolder() string {
	if info, err := os.Stat(p.folder); err == nil && !info.IsDir() {
		return filepath.Dir(p.folder)
	}

	return p.folder
}

// launch hands a planned process to the supervisor.
func (f *fleet) launch(name string, planned *plannedWorkload) error {
	process, err := f.platform.process(planned)
	if err != nil {
		closeFiles(planned.files)

		return err
	}

	f.mu.Lock()
	f.running[name] = planned
	f.mu.Unlock()

	if err := f.platform.supervisor.Add(process); err != nil {
		f.mu.Lock()
		delete(f.running, name)
		f.mu.Unlock()
		closeFiles(planned.files)

		return err
	}

	return nil
}

// retrieverOf is the address of a revision's retriever; empty if it has none. One that is being stopped has an address that
// nobody will answer at: it is waited for, and started anew.
func (f *fleet) retrieverOf(spec agentspec.Agent) (string, error) {
	name := retrieverName(spec)
	if name == "" {
		return "", nil
	}

	planned := f.staying(name)
	if planned == nil {
		return "", fmt.Errorf("its retriever %s does not run yet", name)
	}

	return planned.addresses["retriever"], nil
}

// staying is a process that runs and is not being stopped; nil if there is none.
func (f *fleet) staying(name string) *plannedWorkload {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.leaving[name] {
		return nil
	}

	return f.running[name]
}
