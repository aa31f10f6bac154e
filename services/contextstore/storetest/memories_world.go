package storetest

import (
	"context"
	"math"
	"testing"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/services/contextstore"
)

const (
	corp    = "corp"
	model   = "embed-1"
	reused  = "MEMORY_ID_REUSED"
	invalid = "INVALID"
)

// RunMemories runs the part of the suite that is about what is remembered of users.
func RunMemories(t *testing.T, open Open) {
	t.Helper()
	run(t, open, memorySuites())
}

// owned is whose memories a call is about, and who makes it: the gateway for a user, or an agent with its lease.
type owned struct {
	caller context.Context
	person *contextv1.Person
	lease  *contextv1.LeaseRef
}

// user is a user, for whom the gateway speaks.
func (w *world) user(tenant, user string) owned {
	return owned{caller: w.gateway(), person: &contextv1.Person{Tenant: tenant, User: user}}
}

// agent is triage, with a lease.
func (w *world) agent(lease *contextv1.LeaseRef) owned {
	return owned{caller: w.as(triage), lease: lease}
}

func (o owned) create(id, text string) *contextv1.CreateMemoryRequest {
	request := &contextv1.CreateMemoryRequest{MemoryId: id, Text: text}
	if o.person != nil {
		request.Owner = &contextv1.CreateMemoryRequest_Person{Person: o.person}
	} else if o.lease != nil {
		request.Owner = &contextv1.CreateMemoryRequest_Lease{Lease: o.lease}
	}

	return request
}

func (o owned) search(query string) *contextv1.SearchMemoriesRequest {
	request := &contextv1.SearchMemoriesRequest{Query: query}
	if o.person != nil {
		request.Owner = &contextv1.SearchMemoriesRequest_Person{Person: o.person}
	} else if o.lease != nil {
		request.Owner = &contextv1.SearchMemoriesRequest_Lease{Lease: o.lease}
	}

	return request
}

func (o owned) deletion(ids ...string) *contextv1.DeleteMemoriesRequest {
	request := &contextv1.DeleteMemoriesRequest{MemoryIds: ids}
	if o.person != nil {
		request.Owner = &contextv1.DeleteMemoriesRequest_Person{Person: o.person}
	} else if o.lease != nil {
		request.Owner = &contextv1.DeleteMemoriesRequest_Lease{Lease: o.lease}
	}

	return request
}

// remember stores a memory, which must work; its vector has the components that are given.
func (w *world) remember(of owned, id, text string, vector ...float32) *contextv1.Memory {
	w.Helper()

	request := of.create(id, text)
	if len(vector) > 0 {
		request.Embedding = &contextv1.Embedding{Model: model, Vector: vector}
	}

	response, err := w.client.CreateMemory(of.caller, request)
	w.ok(err)
	same(w, "replayed", response.GetReplayed(), false)

	return response.GetMemory()
}

// find returns what is found, best first.
func (w *world) find(of owned, request *contextv1.SearchMemoriesRequest) *contextv1.SearchMemoriesResponse {
	w.Helper()

	response, err := w.client.SearchMemories(of.caller, request)
	w.ok(err)

	return response
}

// finds fails the test unless a query finds these memories, best first.
func (w *world) finds(of owned, query string, want ...string) {
	w.Helper()
	w.foundAre(query, w.find(of, of.search(query)), want...)
}

// nearTo fails the test unless a query with a vector finds these memories, best first.
func (w *world) nearTo(of owned, query string, vector []float32, want ...string) *contextv1.SearchMemoriesResponse {
	w.Helper()

	request := of.search(query)
	request.Embedding = &contextv1.Embedding{Model: model, Vector: vector}
	response := w.find(of, request)
	w.foundAre(query, response, want...)

	return response
}

func (w *world) foundAre(query string, response *contextv1.SearchMemoriesResponse, want ...string) {
	w.Helper()

	got := make([]string, 0, len(response.GetMemories()))
	for _, one := range response.GetMemories() {
		got = append(got, one.GetMemory().GetMemoryId())
	}

	sameList(w, "memories found by "+query, got, want)
}

// listed returns the ids of a user's memories, newest first, in pages of a size; between runs before each further page.
func (w *world) listed(of owned, size int32, between func()) []string {
	w.Helper()

	var (
		ids     []string
		request = &contextv1.ListMemoriesRequest{Person: of.person, PageSize: size}
	)

	for {
		page, err := w.client.ListMemories(w.gateway(), request)
		w.ok(err)

		for _, one := range page.GetMemories() {
			ids = append(ids, one.GetMemoryId())
		}

		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return ids
		}

		between()
	}
}

// all returns the ids of a user's memories, newest first.
func (w *world) all(of owned) []string {
	w.Helper()

	return w.listed(of, 0, func() {})
}

// keepsVectors says whether the store under test does.
func (w *world) keepsVectors() bool {
	w.Helper()

	var problem string

	w.ok(w.store.View(w.Context(), contextstore.About{Tenant: acme}, func(reader contextstore.Reader) (err error) {
		problem, err = reader.VectorProblem()

		return err
	}))

	return problem == ""
}

// row reads a memory's row, also of one that has expired.
func (w *world) row(tenant, id string) (row contextstore.Memory) {
	w.Helper()
	w.ok(w.store.View(w.Context(), contextstore.About{Tenant: tenant, Scope: "look"}, func(reader contextstore.Reader) (err error) {
		row, err = reader.Memory(tenant, id)

		return err
	}))

	return row
}

func sqrt32(value float64) float32 { return float32(math.Sqrt(value)) }

func scaled(vector []float32, by float32) []float32 {
	for i := range vector {
		vector[i] *= by
	}

	return vector
}
