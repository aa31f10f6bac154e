package storetest

import (
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

func memorySuites() []suite {
	return []suite{
		{"Memories", memoriesTests()},
		{"MemorySearch", memorySearchTests()},
		{"MemoryVectors", memoryVectorTests()},
	}
}

func memoriesTests() map[string]func(*world) {
	return map[string]func(*world){
		"OwnerIsThatOfTheTurn":    ownerIsThatOfTheTurn,
		"CreationIsIdempotent":    memoryCreationIsIdempotent,
		"IDsAreOfTheTenant":       memoryIDsAreOfTheTenant,
		"StaleEpochs":             memoriesNeedTheEpoch,
		"WhoMaySayWhat":           whoMayRemember,
		"DeletionsAreChecked":     memoryDeletionsAreChecked,
		"Expire":                  memoriesExpire,
		"ExpiredGoWithWrites":     expiredMemoriesGo,
		"ExpiredIdsAreFree":       expiredIDsAreFree,
		"TooMany":                 tooManyMemories,
		"PagesSurviveInserts":     memoryPagesSurvive,
		"PageTokensAreChecked":    memoryTokensAreChecked,
		"BigPagesEndEarly":        bigMemoryPages,
		"Delete":                  memoriesAreDeleted,
		"DeletedWithConversation": memoriesGoWithTheirConversation,
		"TextsAreChecked":         memoryTextsAreChecked,
	}
}

func ownerIsThatOfTheTurn(w *world) {
	turn, lease := w.running()

	memory := w.remember(w.agent(lease), "m", "prefers tea")
	same(w, "tenant", memory.GetTenant(), acme)
	same(w, "user", memory.GetUser(), ada)
	same(w, "text", memory.GetText(), "prefers tea")
	same(w, "conversation", memory.GetProvenance().GetConversationId(), turn.GetConversationId())
	same(w, "turn", memory.GetProvenance().GetTurnId(), turn.GetTurnId())
	same(w, "agent", memory.GetProvenance().GetAgent(), triage)
	same(w, "revision", memory.GetProvenance().GetRevision(), revA)
	same(w, "time", memory.GetCreatedAt().AsTime(), w.clock.Now())
	same(w, "expires", memory.GetExpiresAt() == nil, true)
	same(w, "model", memory.GetEmbeddingModel(), "")

	found := w.find(w.user(acme, ada), w.user(acme, ada).search("tea")).GetMemories()[0].GetMemory()
	same(w, "what is found", found.String(), memory.String())
	w.finds(w.agent(lease), "tea", "m")

	typed := w.remember(w.user(acme, ada), "typed", "hates coffee")
	same(w, "agent of a person's", typed.GetProvenance().GetAgent(), "")
	same(w, "conversation of a person's", typed.GetProvenance().GetConversationId(), "")
}

func memoryCreationIsIdempotent(w *world) {
	of := w.user(acme, ada)
	first := w.remember(of, "m", "prefers tea", 1, 0)

	w.clock.advance(time.Second)

	again, err := w.client.CreateMemory(of.caller, of.create("m", "prefers tea"))
	w.ok(err)
	same(w, "replayed", again.GetReplayed(), true)
	same(w, "memory", again.GetMemory().String(), first.String())

	_, err = w.client.CreateMemory(of.caller, of.create("m", "prefers coffee"))
	same(w, "code", w.refused(err, reused).code, codes.AlreadyExists)
	sameList(w, "memories", w.all(of), []string{"m"})
}

func memoryIDsAreOfTheTenant(w *world) {
	w.remember(w.user(acme, ada), "m", "prefers tea")

	_, err := w.client.CreateMemory(w.gateway(), w.user(acme, bob).create("m", "prefers tea"))
	w.refused(err, reused)

	w.remember(w.user(corp, ada), "m", "prefers tea")
	sameList(w, "the other tenant's", w.all(w.user(corp, ada)), []string{"m"})
}

func memoriesNeedTheEpoch(w *world) {
	turn, lease := w.running()
	w.remember(w.agent(lease), "m", "prefers tea")

	attempts := func(of owned) []error {
		_, created := w.client.CreateMemory(of.caller, of.create("n", "x"))
		_, searched := w.client.SearchMemories(of.caller, of.search("tea"))
		_, deleted := w.client.DeleteMemories(of.caller, of.deletion("m"))

		return []error{created, searched, deleted}
	}

	for _, err := range attempts(w.agent(&contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: lease.GetEpoch() - 1})) {
		w.refused(err, staleEpoch)
	}

	for _, err := range attempts(owned{caller: w.as(billing), lease: lease}) {
		w.refused(err, notOwner)
	}

	for _, err := range attempts(w.agent(&contextv1.LeaseRef{TurnId: "t0", Epoch: 1})) {
		same(w, "code", fault.CodeOf(err), codes.NotFound)
	}

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	for _, err := range attempts(w.agent(lease)) {
		w.refused(err, ended)
	}

	sameList(w, "memories", w.all(w.user(acme, ada)), []string{"m"})
}

func whoMayRemember(w *world) {
	_, lease := w.running()
	w.remember(w.user(acme, ada), "m", "prefers tea")

	for _, caller := range []string{triage, rpc.Operator} {
		claims := owned{caller: w.as(caller), person: w.user(acme, ada).person}

		_, err := w.client.CreateMemory(claims.caller, claims.create("n", "x"))
		same(w, "code", w.refused(err, "PERSON_NOT_ALLOWED").code, codes.PermissionDenied)

		_, err = w.client.SearchMemories(claims.caller, claims.search("tea"))
		w.refused(err, "PERSON_NOT_ALLOWED")

		_, err = w.client.DeleteMemories(claims.caller, claims.deletion("m"))
		w.refused(err, "PERSON_NOT_ALLOWED")
	}

	for _, wrong := range []owned{
		{caller: w.gateway(), lease: lease}, {caller: w.gateway()}, {caller: w.as(triage)}, w.user("", ada), w.user(acme, ""),
	} {
		_, err := w.client.SearchMemories(wrong.caller, wrong.search("tea"))
		same(w, "code", w.refused(err, invalid).code, codes.InvalidArgument)
	}
}

func memoryDeletionsAreChecked(w *world) {
	_, lease := w.running()
	w.remember(w.user(acme, ada), "m", "prefers tea")

	everything := w.agent(lease).deletion()
	everything.All = true
	_, err := w.client.DeleteMemories(w.as(triage), everything)
	same(w, "code", w.refused(err, "ALL_NOT_ALLOWED").code, codes.PermissionDenied)

	both := w.user(acme, ada).deletion("m")
	both.All = true

	for _, wrong := range []*contextv1.DeleteMemoriesRequest{
		both, w.user(acme, ada).deletion(), w.user(acme, ada).deletion(make([]string, contextstore.MaxNamed+1)...),
	} {
		_, err := w.client.DeleteMemories(w.gateway(), wrong)
		same(w, "code", w.refused(err, invalid).code, codes.InvalidArgument)
	}

	sameList(w, "memories", w.all(w.user(acme, ada)), []string{"m"})
}

func (w *world) rememberFor(of owned, id, text string, ttl time.Duration) *contextv1.Memory {
	w.Helper()

	request := of.create(id, text)
	request.Ttl = durationOf(ttl)
	request.Embedding = &contextv1.Embedding{Model: model, Vector: []float32{1, 0}}

	response, err := w.client.CreateMemory(of.caller, request)
	w.ok(err)

	return response.GetMemory()
}

// memoriesExpire: as soon as its time has come a memory is not there, though its row may be.
func memoriesExpire(w *world) {
	of := w.user(acme, ada)
	memory := w.rememberFor(of, "short", "tea today", time.Minute)
	same(w, "expires", memory.GetExpiresAt().AsTime(), w.clock.Now().Add(time.Minute))
	w.remember(of, "long", "tea always", 1, 0)

	w.clock.advance(time.Minute - time.Nanosecond)
	sameList(w, "memories before", w.all(of), []string{"long", "short"})

	w.clock.advance(time.Nanosecond)
	sameList(w, "memories after", w.all(of), []string{"long"})
	w.finds(of, "tea", "long")
	w.nearTo(of, "tea", []float32{1, 0}, "long")

	deleted, err := w.client.DeleteMemories(w.gateway(), of.deletion("short"))
	w.ok(err)
	same(w, "deleted", deleted.GetDeleted(), 0)

	w.remember(of, "short", "another text")
	sameList(w, "memories at last", w.all(of), []string{"short", "long"})
}

// expiredMemoriesGo: whatever writes next to the tenant takes them along, and nothing of another tenant's.
func expiredMemoriesGo(w *world) {
	for what, write := range map[string]func(){
		"another memory": func() { w.remember(w.user(acme, bob), w.fresh("m"), "x") },
		"a deletion": func() {
			_, err := w.client.DeleteMemories(w.gateway(), w.user(acme, bob).deletion("m0"))
			w.ok(err)
		},
		"a conversation":           func() { w.open() },
		"a conversation's end":     func() { w.ok(w.delete(w.get(w.open().GetConversationId()).GetConversationId(), false)) },
		"a conversation's old age": func() { w.purge(w.open().GetConversationId()) },
	} {
		id := w.fresh("expiring")
		w.rememberFor(w.user(acme, ada), id, "tea", time.Second)
		w.rememberFor(w.user(corp, ada), id, "tea", time.Second)
		w.clock.advance(time.Second)
		write()
		same(w, "row after "+what, w.row(acme, id).ID, "")
		same(w, "the other tenant's row after "+what, w.row(corp, id).ID, id)
		w.finds(w.user(acme, ada), "tea")
	}
}

// expiredIDsAreFree for whoever comes next, even while many others have expired and are there still.
func expiredIDsAreFree(w *world) {
	for range 30 {
		w.rememberFor(w.user(acme, ada), w.fresh("m"), "tea", time.Second)
	}

	w.rememberFor(w.user(acme, ada), "again", "tea", time.Second)
	w.clock.advance(time.Second)
	w.remember(w.user(acme, bob), "again", "coffee")
	w.finds(w.user(acme, bob), "coffee", "again")
}

// purge deletes a conversation that nobody has used for a while.
func (w *world) purge(id string) {
	w.Helper()
	w.clock.advance(time.Hour)

	_, err := w.client.DeleteConversation(w.gateway(), &contextv1.DeleteConversationRequest{
		ConversationId: id, IdleSince: timestamppb.New(w.clock.Now().Add(-time.Minute)),
	})
	w.ok(err)
}

// tooManyMemories: those that are asked for at once come one after another, so that there are never more than may be.
func tooManyMemories(w *world) {
	const most, asked = 5, 12

	service, err := contextstore.New(contextstore.Config{Store: w.store, Now: w.clock.Now, MemoriesKept: most})
	w.ok(err)
	w.Cleanup(func() { w.ok(service.Close()) })

	var (
		gateway = rpc.ContextWithPeer(w.Context(), rpc.Identity{Name: rpc.Gateway})
		of      = w.user(acme, ada)
		errs    = make([]error, asked)
		short   = of.create("short", "x")
	)

	short.Ttl = durationOf(time.Second)
	_, err = service.CreateMemory(gateway, short)
	w.ok(err)
	w.clock.advance(time.Second) // what has expired takes no room

	parallel(asked, func(i int) {
		_, errs[i] = service.CreateMemory(gateway, of.create("m"+strconv.Itoa(i), "x"))
	})

	stored := 0

	for _, err := range errs {
		if err == nil {
			stored++
		} else {
			same(w, "code", w.refused(err, "TOO_MANY_MEMORIES").code, codes.ResourceExhausted)
		}
	}

	same(w, "stored", stored, most)
	same(w, "memories", len(w.all(of)), most)

	_, err = service.CreateMemory(gateway, w.user(acme, bob).create("bobs", "x"))
	w.ok(err)
}

func memoryPagesSurvive(w *world) {
	of, want := w.user(acme, ada), []string{}
	for range 7 {
		want = append([]string{w.remember(of, w.fresh("m"), "x").GetMemoryId()}, want...)
	}

	w.remember(w.user(acme, bob), "bobs", "x")

	got := w.listed(of, 2, func() { w.remember(of, w.fresh("late"), "x") })
	sameList(w, "memories", got, want)

	// Nor does it matter that the last one of a page is deleted.
	page, err := w.client.ListMemories(w.gateway(), &contextv1.ListMemoriesRequest{Person: of.person, PageSize: 5})
	w.ok(err)

	_, err = w.client.DeleteMemories(w.gateway(), of.deletion(page.GetMemories()[4].GetMemoryId()))
	w.ok(err)

	rest, err := w.client.ListMemories(w.as(rpc.Operator), &contextv1.ListMemoriesRequest{
		Person: of.person, PageSize: 5, PageToken: page.GetNextPageToken(),
	})
	w.ok(err)
	same(w, "the next page", rest.GetMemories()[0].GetMemoryId(), want[2])
}

func memoryTokensAreChecked(w *world) {
	w.open()
	w.open()

	page, err := w.client.ListConversations(w.gateway(), &contextv1.ListConversationsRequest{PageSize: 1})
	w.ok(err)

	for _, token := range []string{"x", "!!!", page.GetNextPageToken()} {
		_, err := w.client.ListMemories(w.gateway(), &contextv1.ListMemoriesRequest{
			Person: w.user(acme, ada).person, PageToken: token,
		})
		same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
	}
}

// bigMemoryPages: a page must fit into a gRPC message whatever its size.
func bigMemoryPages(w *world) {
	const rows = 300

	of := w.user(acme, ada)
	about := contextstore.About{Tenant: acme, Scope: contextstore.MemoriesOf(acme, ada)}

	w.ok(w.store.Update(w.Context(), about, func(tx contextstore.Tx) (err error) {
		for i := 0; i < rows && err == nil; i++ {
			err = tx.InsertMemory(contextstore.Memory{ID: w.fresh("m"), Tenant: acme, User: ada, Text: string(make4K())})
		}

		return err
	}))

	pages := 1
	same(w, "memories", len(w.listed(of, 1000, func() { pages++ })), rows)
	same(w, "pages", pages, 2)
}

func make4K() []rune {
	text := make([]rune, 4096)
	for i := range text {
		text[i] = 'x'
	}

	return text
}

func memoriesAreDeleted(w *world) {
	_, lease := w.running()
	of := w.user(acme, ada)

	for _, id := range []string{"a", "b", "c", "d"} {
		w.remember(of, id, "tea", 1, 0)
	}

	w.remember(w.user(acme, bob), "bobs", "tea", 1, 0)

	deleted, err := w.client.DeleteMemories(w.as(triage), w.agent(lease).deletion("a", "a", "bobs", "none"))
	w.ok(err)
	same(w, "deleted by the agent", deleted.GetDeleted(), 1)

	deleted, err = w.client.DeleteMemories(w.gateway(), of.deletion("a", "b"))
	w.ok(err)
	same(w, "deleted by the gateway", deleted.GetDeleted(), 1)
	w.nearTo(of, "tea", []float32{1, 0}, "d", "c")

	everything := of.deletion()
	everything.All = true

	for _, want := range []int64{2, 0} {
		deleted, err = w.client.DeleteMemories(w.gateway(), everything)
		w.ok(err)
		same(w, "deleted at last", deleted.GetDeleted(), want)
	}

	w.nearTo(of, "tea", []float32{1, 0})
	sameList(w, "bob's", w.all(w.user(acme, bob)), []string{"bobs"})
}

func memoriesGoWithTheirConversation(w *world) {
	kept, keptLease := w.running()
	turn, lease := w.running()
	of := w.user(acme, ada)

	w.remember(w.agent(lease), "gone", "tea", 1, 0)
	w.remember(w.agent(keptLease), "kept", "tea", 1, 0)
	w.remember(of, "typed", "tea", 1, 0)
	w.ok(w.delete(turn.GetConversationId(), true))

	sameList(w, "memories", w.all(of), []string{"typed", "kept"})
	w.nearTo(of, "tea", []float32{1, 0}, "typed", "kept")
	same(w, "row", w.row(acme, "gone").ID, "")
	w.ok(w.delete(kept.GetConversationId(), true))
	sameList(w, "memories at last", w.all(of), []string{"typed"})
}

func memoryTextsAreChecked(w *world) {
	of := w.user(acme, ada)

	_, err := w.client.CreateMemory(w.gateway(), of.create("m", "a\x00b"))
	same(w, "code", w.refused(err, invalid).code, codes.InvalidArgument)

	long := string(make4K())
	w.remember(of, "long", long+" tea")
	w.finds(of, "tea", "long")
	w.finds(of, long, "long")
}
