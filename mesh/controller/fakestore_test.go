package controller_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// fakeContext is the part of a context store that the controller uses.
type fakeContext struct {
	contextv1.ContextServiceClient

	mu          sync.Mutex
	outcomes    []*contextv1.Outcome
	withdrawals []*contextv1.WithdrawRequest
	uses        map[string]map[string]*contextv1.RevisionUse
	told        chan struct{}
	refuse      func(call string) error
}

func newFakeContext() *fakeContext {
	return &fakeContext{
		uses: map[string]map[string]*contextv1.RevisionUse{}, told: make(chan struct{}),
		refuse: func(string) error { return nil },
	}
}

func (c *fakeContext) setRefuse(refuse func(call string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.refuse = refuse
}

func (c *fakeContext) Withdraw(
	_ context.Context, request *contextv1.WithdrawRequest, _ ...grpc.CallOption,
) (*contextv1.WithdrawResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if err := c.refuse("withdraw"); err != nil {
		return nil, err
	}

	if !slices.ContainsFunc(c.withdrawals, func(prior *contextv1.WithdrawRequest) bool { return proto.Equal(prior, request) }) {
		c.withdrawals = append(c.withdrawals, proto.CloneOf(request))
	}

	return &contextv1.WithdrawResponse{}, nil
}

// withdrawn are the withdrawals of an agent, in order.
func (c *fakeContext) withdrawn(agent string) []*contextv1.WithdrawRequest {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(c.withdrawals), func(one *contextv1.WithdrawRequest) bool { return one.GetAgent() != agent })
}

func (c *fakeContext) ListRevisions(
	_ context.Context, request *contextv1.ListRevisionsRequest, _ ...grpc.CallOption,
) (*contextv1.ListRevisionsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if err := c.refuse("list"); err != nil {
		return nil, err
	}

	all := map[string]*contextv1.RevisionUse{}
	for revision, use := range c.uses[request.GetAgent()] {
		all[revision] = proto.CloneOf(use)
	}

	for _, one := range c.withdrawals {
		if use := all[one.GetRevision()]; one.GetAgent() == request.GetAgent() && use != nil {
			use.Withdrawn, use.Replacement = one.GetReplacement() != one.GetRevision(), one.GetReplacement()
		}
	}

	response := &contextv1.ListRevisionsResponse{}
	for _, use := range all {
		response.Revisions = append(response.Revisions, use)
	}

	return response, nil
}

func (c *fakeContext) use(agent string, use *contextv1.RevisionUse) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.uses[agent] == nil {
		c.uses[agent] = map[string]*contextv1.RevisionUse{}
	}

	c.uses[agent][use.GetRevision()] = use
}

// happen adds outcomes of segments that took that long.
func (c *fakeContext) happen(
	now time.Time, agent, revision string, kind contextv1.Outcome_Kind, n int, took time.Duration,
) {
	c.happens(now, agent, revision, kind, n, took, nil)
}

// happens adds outcomes that have more to them.
func (c *fakeContext) happens(
	now time.Time, agent, revision string, kind contextv1.Outcome_Kind, n int, took time.Duration, edit func(*contextv1.Outcome),
) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for range n {
		position := int64(len(c.outcomes) + 1)
		outcome := &contextv1.Outcome{
			Position: position, Kind: kind, Agent: agent, Revision: revision,
			ConversationId: "c" + time.Duration(position).String(),
			BeganAt:        timestamppb.New(now), EndedAt: timestamppb.New(now.Add(took)),
		}

		if edit != nil {
			edit(outcome)
		}

		c.outcomes = append(c.outcomes, outcome)
	}

	close(c.told)
	c.told = make(chan struct{})
}

// after returns what follows a position, the last position, and what tells of more.
func (c *fakeContext) after(position int64) ([]*contextv1.Outcome, int64, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	last := int64(len(c.outcomes))

	return slices.Clone(c.outcomes[min(position, last):]), last, c.told, c.refuse("watch")
}

func (c *fakeContext) WatchOutcomes(
	ctx context.Context, request *contextv1.WatchOutcomesRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[contextv1.WatchOutcomesResponse], error) {
	next := max(request.GetFromPosition()-1, 0)

	if request.GetFromPosition() < 0 {
		_, next, _, _ = c.after(0)
	}

	return &outcomeStream{ctx: ctx, of: c, had: next}, nil
}

type outcomeStream struct {
	grpc.ClientStream

	ctx   context.Context
	of    *fakeContext
	had   int64
	begun bool
}

func (s *outcomeStream) Recv() (*contextv1.WatchOutcomesResponse, error) {
	for {
		outcomes, last, told, err := s.of.after(s.had)
		if err != nil {
			return nil, err
		}

		if len(outcomes) > 0 || !s.begun {
			s.begun, s.had = true, last

			return &contextv1.WatchOutcomesResponse{Outcomes: outcomes, Position: last}, nil
		}

		select {
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		case <-told:
		}
	}
}
