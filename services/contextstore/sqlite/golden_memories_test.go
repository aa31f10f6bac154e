package sqlite_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

// goldenMemories are what a golden database of a schema that has them remembers of ada, newest first.
var goldenMemories = []string{"typed: Hates coffee.", "told: Prefers tea, très chaud."}

func goldenPerson() *contextv1.Person { return &contextv1.Person{Tenant: "acme", User: "ada"} }

// writeGoldenMemories stores one memory as the agent, with a vector, and one as the user.
func writeGoldenMemories(t *testing.T, service *contextstore.Service, lease *contextv1.LeaseRef) {
	t.Helper()

	created := must[*contextv1.CreateMemoryResponse](t)

	created(service.CreateMemory(peer(t.Context(), "triage"), &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Lease{Lease: lease}, MemoryId: "told", Text: "Prefers tea, très chaud.",
		Embedding: &contextv1.Embedding{Model: "embed-1", Vector: []float32{3, 4}},
	}))
	created(service.CreateMemory(peer(t.Context(), rpc.Gateway), &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Person{Person: goldenPerson()}, MemoryId: "typed", Text: "Hates coffee.",
		Ttl: durationpb.New(1e9),
	}))
}

// checkGoldenMemories finds the memories, and deletes the conversation that one comes from.
func checkGoldenMemories(t *testing.T, service goldenReading, conversationID string, want goldenWant) {
	t.Helper()

	gateway := peer(t.Context(), rpc.Gateway)
	if got := service.memories(t); !slices.Equal(got, want.memories) {
		t.Errorf("the memories are %q, want %q", got, want.memories)
	}

	found := must[*contextv1.SearchMemoriesResponse](t)(service.SearchMemories(gateway, &contextv1.SearchMemoriesRequest{
		Owner: &contextv1.SearchMemoriesRequest_Person{Person: goldenPerson()}, Query: "tres",
		Embedding: &contextv1.Embedding{Model: "embed-1", Vector: []float32{3, 4}},
	})).GetMemories()
	if len(want.memories) > 0 && (len(found) != 1 || found[0].GetTextRank() != 1 || found[0].GetVectorRank() != 1) {
		t.Errorf("found %v, want the memory that was told", found)
	}

	must[*contextv1.CreateMemoryResponse](t)(service.CreateMemory(gateway, &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Person{Person: goldenPerson()}, MemoryId: "new", Text: "Has a dog.",
	}))
	must[*contextv1.DeleteConversationResponse](t)(service.DeleteConversation(gateway,
		&contextv1.DeleteConversationRequest{ConversationId: conversationID}))

	left := []string{"new: Has a dog."}
	if len(want.memories) > 0 {
		left = append(left, want.memories[0])
	}

	if got := service.memories(t); !slices.Equal(got, left) {
		t.Errorf("after the deletion the memories are %q, want %q", got, left)
	}
}

// memories describes what is remembered of ada, newest first.
func (g goldenReading) memories(t *testing.T) []string {
	t.Helper()

	var told []string

	for _, one := range must[*contextv1.ListMemoriesResponse](t)(g.ListMemories(peer(t.Context(), rpc.Gateway),
		&contextv1.ListMemoriesRequest{Person: goldenPerson()})).GetMemories() {
		told = append(told, one.GetMemoryId()+": "+one.GetText())
	}

	return told
}
