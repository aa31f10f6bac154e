package storetest

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

func conversationTests() map[string]func(*world) {
	return map[string]func(*world){
		"CreateIsIdempotent":    createIsIdempotent,
		"GetUnknown":            getUnknown,
		"ListIsNewestFirst":     listIsNewestFirst,
		"ListFilters":           listFilters,
		"PagesSurviveInserts":   pagesSurviveInserts,
		"PageTokensAreChecked":  pageTokensAreChecked,
		"ReadUnknown":           readUnknown,
		"BigLogsComeInPages":    bigLogsComeInPages,
		"ActiveTurnIsListedToo": activeTurnIsListedToo,
	}
}

func createIsIdempotent(w *world) {
	request := &contextv1.CreateConversationRequest{RequestId: "r", Tenant: acme, User: ada, Agent: triage}

	first, err := w.client.CreateConversation(w.gateway(), request)
	w.ok(err)

	again, err := w.client.CreateConversation(w.gateway(), request)
	w.ok(err)
	same(w, "id", again.GetConversation().GetConversationId(), first.GetConversation().GetConversationId())
	same(w, "version", again.GetConversation().GetVersion(), 1)
	same(w, "length of the id", len(first.GetConversation().GetConversationId()), 27)

	request.User = bob
	_, err = w.client.CreateConversation(w.gateway(), request)
	w.refused(err, "REQUEST_ID_REUSED")
	same(w, "code", fault.CodeOf(err), codes.AlreadyExists)
	same(w, "log", w.kinds(first.GetConversation().GetConversationId())[0], "conversation_created")
}

func getUnknown(w *world) {
	_, err := w.client.GetConversation(w.gateway(), &contextv1.GetConversationRequest{ConversationId: "c0"})
	same(w, "code", fault.CodeOf(err), codes.NotFound)

	_, err = w.client.GetTurn(w.gateway(), &contextv1.GetTurnRequest{TurnId: "t0"})
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

func readUnknown(w *world) {
	_, err := w.client.ReadEvents(w.gateway(), &contextv1.ReadEventsRequest{ConversationId: "c0"})
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

// list returns all ids page by page, newest first; between runs before each further page.
func (w *world) list(request *contextv1.ListConversationsRequest, between func()) []string {
	w.Helper()

	var ids []string

	for {
		page, err := w.client.ListConversations(w.gateway(), request)
		w.ok(err)

		for _, conversation := range page.GetConversations() {
			ids = append(ids, conversation.GetConversationId())
		}

		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return ids
		}

		between()
	}
}

func listIsNewestFirst(w *world) {
	want := make([]string, 0, 6)
	for range 5 {
		want = append(want, w.open().GetConversationId()) // some within the same millisecond
	}

	w.clock.advance(time.Second)

	want = append(want, w.open().GetConversationId())
	slices.Reverse(want)

	got := w.list(&contextv1.ListConversationsRequest{PageSize: 2}, func() {})
	if !slices.Equal(got, want) {
		w.Fatalf("got %v, want %v", got, want)
	}
}

func listFilters(w *world) {
	for _, owner := range [][2]string{{acme, ada}, {acme, bob}, {"corp", ada}} {
		_, err := w.client.CreateConversation(w.gateway(), &contextv1.CreateConversationRequest{
			RequestId: w.fresh("r"), Tenant: owner[0], User: owner[1], Agent: triage,
		})
		w.ok(err)
	}

	for _, one := range []struct {
		tenant, user string
		want         int
	}{{"", "", 3}, {acme, "", 2}, {"", ada, 2}, {acme, ada, 1}, {"none", "", 0}} {
		got := w.list(&contextv1.ListConversationsRequest{Tenant: one.tenant, User: one.user}, func() {})
		same(w, "conversations of "+one.tenant+"/"+one.user, len(got), one.want)
	}
}

func pagesSurviveInserts(w *world) {
	want := map[string]bool{}
	for range 7 {
		want[w.open().GetConversationId()] = true
	}

	for _, id := range w.list(&contextv1.ListConversationsRequest{PageSize: 2}, func() { w.open() }) {
		if !want[id] {
			w.Fatalf("%s came twice, or was not there when the listing began", id)
		}

		delete(want, id)
	}

	same(w, "conversations missed", len(want), 0)
}

func pageTokensAreChecked(w *world) {
	for _, token := range []string{"x", "!!!", "MTo"} {
		_, err := w.client.ListConversations(w.gateway(), &contextv1.ListConversationsRequest{PageToken: token})
		same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
	}
}

func activeTurnIsListedToo(w *world) {
	turn, _ := w.running()

	page, err := w.client.ListConversations(w.gateway(), &contextv1.ListConversationsRequest{})
	w.ok(err)
	same(w, "turn", page.GetConversations()[0].GetActiveTurn().GetTurnId(), turn.GetTurnId())
	same(w, "pin", page.GetConversations()[0].GetPins()[triage], revA)
}

// bigLogsComeInPages: a page must fit into a gRPC message whatever the limit.
func bigLogsComeInPages(w *world) {
	turn, lease := w.running()

	for range 8 {
		_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part(string(make([]byte, 900_000))))
		w.ok(err)
	}

	page, err := w.client.ReadEvents(w.gateway(), &contextv1.ReadEventsRequest{
		ConversationId: turn.GetConversationId(), Limit: 10000,
	})
	w.ok(err)

	if got := len(page.GetEvents()); got >= 8 {
		w.Fatalf("one page has %d events of 900 kB", got)
	}

	same(w, "events", len(w.events(turn.GetConversationId())), 4+8)
}
