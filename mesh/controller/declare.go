package controller

import (
	"encoding/json"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/canary"
)

// initial is the record of an agent that was never seen before.
func initial(name string) Record {
	return Record{Agent: name, State: canary.State{Agent: name, Phase: canary.Idle, Step: -1}}
}

// contentOf returns the revision that a resolved agent is.
func contentOf(agent agentspec.Agent) (Revision, error) {
	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		return Revision{}, err
	}

	return Revision{
		Agent: agent.Metadata.Name, Name: agentspec.Revision(agent), Declaration: string(data),
	}, nil
}

// declared is an agent as it is declared.
type declared struct {
	content Revision
	plan    canary.Plan
	// place is where: the file, or the object.
	place string
}

func declaredBy(read *Declarations) ([]declared, error) {
	all := make([]declared, 0, len(read.Agents))

	for _, agent := range read.Agents {
		content, err := contentOf(agent)
		if err != nil {
			return nil, err
		}

		all = append(all, declared{
			content: content, plan: planOf(&agent), place: read.Place(agent.Metadata.Name),
		})
	}

	return all, nil
}

// change is what a declaration means for a record; nil if nothing. The revision that it asks for becomes the candidate
// only if it is another one than the declaration asked for before: what a person started since then holds.
func (d declared) change(record Record) *change {
	short := agentspec.Short(d.content.Name)
	known := record.Declared == short && record.State.Declared != ""

	if known && record.Declaration == d.content.Declaration {
		return nil
	}

	wanted := &change{
		actor: platform, content: &d.content,
		command: &canary.Command{Kind: canary.Declare, Revision: short, Plan: d.plan, Reason: d.place + " changed"},
		edit: func(record *Record) {
			if record.State.Stable == "" && (len(record.Orphans) > 0 || len(record.State.Withdrawn) > 0) {
				comeBack(record, short)
			}

			record.Declaration, record.Declared, record.RemovedAt = d.content.Declaration, short, time.Time{}
		},
	}

	if record.State.Stable == "" && len(record.Orphans) > 0 || !record.RemovedAt.IsZero() {
		wanted.action, wanted.reason = "come-back", "it is declared again, in "+d.place
	}

	if known { // only the plan, and what is not part of a revision
		wanted.content, wanted.command.Revision, wanted.command.Reason = nil, record.State.Declared, ""
	}

	return wanted
}

// serversOf returns the declarations of the tool servers.
func serversOf(all []agentspec.MCPServer) ([]string, error) {
	servers := make([]string, 0, len(all))

	for _, server := range all {
		data, err := json.Marshal(server)
		if err != nil {
			return nil, err //nolint:wrapcheck // encoding/json names the type
		}

		servers = append(servers, string(data))
	}

	return servers, nil
}

// removal is what it means that an agent is not declared any more; nil if that is known.
func removal(record Record, now time.Time) *change {
	if record.Declaration == "" {
		return nil
	}

	return &change{
		actor: platform, action: "remove", reason: "it is not declared any more",
		edit: func(record *Record) { record.Declaration, record.RemovedAt = "", now },
	}
}
