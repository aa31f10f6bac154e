package postgres

import (
	"hash/fnv"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

// What advisory locks are about, beside keys: a space of their own, in which 1 is everything and 2 is outcomes.
const (
	lockSpace      = 0x5e71 // as near to Serin as hexadecimal digits come
	lockEverything = 1
	lockOutcomes   = 2
)

// plan is what a transaction needs to know before it begins: whose it is, and which locks it takes.
type plan struct {
	everything   bool
	conversation string
	creation     string
	scope        string
	tenants      tenants
	keys         []int64
	// reads are the queries that it will make in any case.
	reads []statement
}

// owners remembers which conversation a turn belongs to, and which tenant a conversation: both for good.
type owners struct{ turns, tenants *lru.Cache[string, string] }

// remembered is how many turns and conversations are remembered; the others are looked up.
const remembered = 65536

func newOwners() *owners {
	turns, _ := lru.New[string, string](remembered)   // it fails for sizes below 1
	tenants, _ := lru.New[string, string](remembered) // as above

	return &owners{turns, tenants}
}

// turn remembers a turn that was committed.
func (o *owners) turn(turnID, conversationID string) {
	if known, found := o.turns.Peek(turnID); !found || known != conversationID {
		o.turns.Add(turnID, conversationID)
	}
}

// owner is which conversation a transaction is about, and whose that is; both empty as far as they are not known.
type owner struct{ conversation, tenant string }

// of returns the owner, and whether it must be looked up first.
func (o *owners) of(about contextstore.About) (found owner, known bool) {
	found.conversation, known = about.Conversation, true
	if found.conversation == "" && about.Turn != "" {
		found.conversation, known = o.turns.Get(about.Turn)
	}

	if found.conversation != "" {
		found.tenant, known = o.tenants.Get(found.conversation)
	}

	return found, known
}

// conversationOf returns the conversation that a transaction is about, as far as it is known.
func (o *owners) conversationOf(about contextstore.About) string {
	found, _ := o.of(about)

	return found.conversation
}

// lookUp returns the transactions' owners, and reads those that are not remembered. What is not there is not remembered either.
func (o *owners) lookUp(session *session, abouts []contextstore.About) ([]owner, error) {
	var (
		found                = make([]owner, len(abouts))
		known                = make([]bool, len(abouts))
		turns, conversations []string
	)

	for i, about := range abouts {
		switch found[i], known[i] = o.of(about); {
		case known[i]:
		case about.Conversation != "":
			conversations = append(conversations, about.Conversation)
		default:
			turns = append(turns, about.Turn)
		}
	}

	if len(turns)+len(conversations) == 0 {
		return found, nil
	}

	read, err := o.read(session, turns, conversations)

	for i, about := range abouts {
		switch {
		case known[i]:
		case about.Conversation != "":
			found[i].tenant = read[conversationKey(about.Conversation)].tenant
		default:
			found[i] = read[turnKey(about.Turn)]
		}
	}

	return found, err
}

func conversationKey(id string) string { return "conversation/" + id }

func turnKey(id string) string { return "turn/" + id }

// read reads and remembers owners.
func (o *owners) read(session *session, turns, conversations []string) (map[string]owner, error) {
	session.actAs(tenants{all: true}) // until the end of the pipeline, which is a transaction of its own
	defer func() { session.tenants = tenants{} }()

	found := make(map[string]owner, len(turns)+len(conversations))

	return found, session.Each(`SELECT '', conversation_id, tenant FROM conversations WHERE conversation_id = ANY(?)
		UNION ALL SELECT turn_id, conversation_id, tenant FROM turns WHERE turn_id = ANY(?)`, []any{conversations, turns},
		func(scan func(...any) error) (bool, error) {
			var (
				turn string
				of   owner
			)

			if err := scan(&turn, &of.conversation, &of.tenant); err != nil {
				return false, err
			}

			o.tenants.Add(of.conversation, of.tenant)

			if turn == "" {
				found[conversationKey(of.conversation)] = of
			} else {
				found[turnKey(turn)] = of
				o.turn(turn, of.conversation)
			}

			return true, nil
		})
}

// plan says what a transaction locks, and on whose behalf it runs.
func (o owner) plan(about contextstore.About) *plan {
	made := &plan{
		everything: about.Everything(), conversation: o.conversation, creation: about.Creation, scope: about.Scope,
	}

	switch {
	case about.Tenant != "":
		made.tenants = tenants{tenant: about.Tenant}
	case made.conversation != "":
		made.tenants = tenants{tenant: o.tenant}
	case made.everything:
		made.tenants = tenants{all: true}
	}

	made.lock("conversation", made.conversation)
	made.lock("turn", about.NewTurn)
	made.lock("creation", about.Creation)
	made.lock("scope", about.Scope)

	if made.conversation == "" {
		made.lock("turn", about.Turn)
	}

	if about.Ahead != nil {
		made.reads = readsOf(about, made.conversation)
		if about.Appends {
			made.reads = append(made.reads, statement{selectStamp, []any{about.Turn}})
		}
	}

	return made
}

func readsOf(about contextstore.About, conversation string) []statement {
	noted := &recorder{}
	about.Ahead(reader{Rows: relational.New(noted), session: &session{}, db: noted}, conversation)

	return noted.queries
}

// lock adds the lock of something that has a name.
func (p *plan) lock(kind, name string) {
	if name != "" {
		p.keys = append(p.keys, hashOf(kind, name))
	}
}

func hashOf(kind, name string) int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(kind + "/" + name)) // it never fails

	return int64(hash.Sum64()) //nolint:gosec // any 64 bits will do
}

// meets reports whether two transactions share a lock.
func (p *plan) meets(keys map[int64]bool) bool {
	return slices.ContainsFunc(p.keys, func(key int64) bool { return keys[key] })
}
