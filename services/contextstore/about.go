package contextstore

import "strings"

// About says what a transaction is about, so that a store may let transactions run at once that do not concern each
// other, and fetch in one go what they read. One that is about nothing in particular is about everything.
type About struct {
	// Conversation is the one that it reads and writes.
	Conversation string
	// Turn stands for the conversation of a turn where only that is known; else it is the turn that is meant.
	Turn string
	// Appends says that it only adds events of Turn to Conversation, as far as is known beforehand: most do.
	Appends bool
	// NewTurn is a turn that it begins, if it does.
	NewTurn string
	// Creation is the request id of a conversation that it opens, for Tenant.
	Creation, Tenant string
	// Scope is that of shared state, if it is no conversation.
	Scope string
	// Ahead calls what the transaction will read in any case; it is told the conversation, or nothing if there is none.
	// The answers say nothing.
	Ahead func(reader Reader, conversationID string)
}

// Everything reports whether the transaction may read and write whatever there is.
func (a About) Everything() bool {
	return a.Conversation == "" && a.Turn == "" && a.Creation == "" && a.Scope == ""
}

// aboutTurn is about a turn, which is read in any case.
func aboutTurn(turnID string) About {
	return About{Turn: turnID, Ahead: func(reader Reader, _ string) { _, _ = reader.Turn(turnID) }}
}

// tenantScope starts the scopes of what a tenant's conversations share.
const tenantScope = "tenant/"

// aboutState is about a value of shared state.
func aboutState(scope, key string) About {
	about := About{Ahead: func(reader Reader, _ string) { _, _, _ = reader.State(scope, key) }}

	if tenant, found := strings.CutPrefix(scope, tenantScope); found {
		about.Scope, about.Tenant = scope, tenant
	} else {
		about.Conversation = scope
	}

	return about
}
