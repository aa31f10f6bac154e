package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// rolloutsAtTheDoor are the rollouts of the REST door, over gRPC: each call is one of REST.
type rolloutsAtTheDoor struct {
	rolloutv1.UnimplementedRolloutServiceServer

	*fakeRollouts
}

// ask makes the REST call behind a method.
func (r rolloutsAtTheDoor) ask(method, path string, in, out proto.Message) error {
	body := ""

	if in != nil {
		request := proto.Clone(in).ProtoReflect()
		request.Clear(request.Descriptor().Fields().ByName("agent"))

		data, err := protojson.Marshal(request.Interface())
		if err != nil {
			return err
		}

		body = string(data)
	}

	answer := httptest.NewRecorder()
	r.Config.Handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))

	if answer.Code != http.StatusOK {
		return fault.FromHTTP(answer.Code, answer.Body.Bytes())
	}

	if !json.Valid(answer.Body.Bytes()) {
		return status.Error(codes.Internal, answer.Body.String())
	}

	return protojson.Unmarshal(answer.Body.Bytes(), out)
}

func (r rolloutsAtTheDoor) ListRollouts(context.Context, *rolloutv1.ListRolloutsRequest) (*rolloutv1.ListRolloutsResponse, error) {
	out := &rolloutv1.ListRolloutsResponse{}

	return out, r.ask(http.MethodGet, "/v1/rollouts", nil, out)
}

func (r rolloutsAtTheDoor) GetRollout(_ context.Context, in *rolloutv1.GetRolloutRequest) (*rolloutv1.GetRolloutResponse, error) {
	out := &rolloutv1.GetRolloutResponse{}

	return out, r.ask(http.MethodGet, "/v1/rollouts/"+in.GetAgent(), nil, out)
}

func (r rolloutsAtTheDoor) SetWeight(_ context.Context, in *rolloutv1.SetWeightRequest) (*rolloutv1.SetWeightResponse, error) {
	out := &rolloutv1.SetWeightResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":setWeight", in, out)
}

func (r rolloutsAtTheDoor) StartRollout(_ context.Context, in *rolloutv1.StartRolloutRequest) (*rolloutv1.StartRolloutResponse, error) {
	out := &rolloutv1.StartRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":start", in, out)
}

func (r rolloutsAtTheDoor) PauseRollout(_ context.Context, in *rolloutv1.PauseRolloutRequest) (*rolloutv1.PauseRolloutResponse, error) {
	out := &rolloutv1.PauseRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":pause", in, out)
}

func (r rolloutsAtTheDoor) ResumeRollout(_ context.Context, in *rolloutv1.ResumeRolloutRequest) (*rolloutv1.ResumeRolloutResponse, error) {
	out := &rolloutv1.ResumeRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":resume", in, out)
}

func (r rolloutsAtTheDoor) PromoteRollout(_ context.Context, in *rolloutv1.PromoteRolloutRequest) (*rolloutv1.PromoteRolloutResponse, error) {
	out := &rolloutv1.PromoteRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":promote", in, out)
}

func (r rolloutsAtTheDoor) AbortRollout(_ context.Context, in *rolloutv1.AbortRolloutRequest) (*rolloutv1.AbortRolloutResponse, error) {
	out := &rolloutv1.AbortRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":abort", in, out)
}

func (r rolloutsAtTheDoor) UndoRollout(_ context.Context, in *rolloutv1.UndoRolloutRequest) (*rolloutv1.UndoRolloutResponse, error) {
	out := &rolloutv1.UndoRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":undo", in, out)
}

func (r rolloutsAtTheDoor) RetryRollout(_ context.Context, in *rolloutv1.RetryRolloutRequest) (*rolloutv1.RetryRolloutResponse, error) {
	out := &rolloutv1.RetryRolloutResponse{}

	return out, r.ask(http.MethodPost, "/v1/rollouts/"+in.GetAgent()+":retry", in, out)
}

func (r rolloutsAtTheDoor) ListHistory(_ context.Context, in *rolloutv1.ListHistoryRequest) (*rolloutv1.ListHistoryResponse, error) {
	out := &rolloutv1.ListHistoryResponse{}

	return out, r.ask(http.MethodGet, "/v1/rollouts/"+in.GetAgent()+"/history?pageToken="+in.GetPageToken(), nil, out)
}

func (r rolloutsAtTheDoor) GetRevision(_ context.Context, in *rolloutv1.GetRevisionRequest) (*rolloutv1.GetRevisionResponse, error) {
	out := &rolloutv1.GetRevisionResponse{}

	return out, r.ask(http.MethodGet, "/v1/rollouts/"+in.GetAgent()+"/revisions/"+in.GetRevision(), nil, out)
}

// WatchRollouts sends what each watch is sent in turn, as over REST.
func (r rolloutsAtTheDoor) WatchRollouts(_ *rolloutv1.WatchRolloutsRequest, stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse]) error {
	r.mu.Lock()
	changes, last := r.streams[0], len(r.streams) == 1

	if !last {
		r.streams = r.streams[1:]
	}
	r.mu.Unlock()

	for _, change := range changes {
		if err := stream.Send(change); err != nil {
			return err
		}
	}

	if !last {
		return fault.New(codes.Unavailable, "DRAINING", "the controller is stopping; ask again")
	}

	<-stream.Context().Done()

	return stream.Context().Err()
}
