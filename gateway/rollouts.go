package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// actorHeader tells the controller on whose behalf the gateway calls.
const actorHeader = "serin-actor"

// rollouts is RolloutService as outsiders get it: operators alone, whose name goes along into the audit log.
type rollouts struct {
	rolloutv1.UnsafeRolloutServiceServer

	*Service
}

var _ rolloutv1.RolloutServiceServer = rollouts{}

func (r rollouts) ListRollouts(ctx context.Context, req *rolloutv1.ListRolloutsRequest) (*rolloutv1.ListRolloutsResponse, error) {
	return steer(ctx, r.Service, req, rolloutv1.RolloutServiceClient.ListRollouts)
}

func (r rollouts) GetRollout(ctx context.Context, req *rolloutv1.GetRolloutRequest) (*rolloutv1.GetRolloutResponse, error) {
	return steer(ctx, r.Service, req, rolloutv1.RolloutServiceClient.GetRollout)
}

func (r rollouts) WatchRollouts(req *rolloutv1.WatchRolloutsRequest, stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse]) error {
	return streaming(r.Service, req, stream, r.watchRollouts)
}

func (r rollouts) StartRollout(ctx context.Context, req *rolloutv1.StartRolloutRequest) (*rolloutv1.StartRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.StartRollout)
}

func (r rollouts) SetWeight(ctx context.Context, req *rolloutv1.SetWeightRequest) (*rolloutv1.SetWeightResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.SetWeight)
}

func (r rollouts) PauseRollout(ctx context.Context, req *rolloutv1.PauseRolloutRequest) (*rolloutv1.PauseRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.PauseRollout)
}

func (r rollouts) ResumeRollout(ctx context.Context, req *rolloutv1.ResumeRolloutRequest) (*rolloutv1.ResumeRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.ResumeRollout)
}

func (r rollouts) PromoteRollout(ctx context.Context, req *rolloutv1.PromoteRolloutRequest) (*rolloutv1.PromoteRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.PromoteRollout)
}

func (r rollouts) AbortRollout(ctx context.Context, req *rolloutv1.AbortRolloutRequest) (*rolloutv1.AbortRolloutResponse, error) {
	return steer(ctx, r.Service, req, abortSurely)
}

func (r rollouts) UndoRollout(ctx context.Context, req *rolloutv1.UndoRolloutRequest) (*rolloutv1.UndoRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.UndoRollout)
}

func (r rollouts) RetryRollout(ctx context.Context, req *rolloutv1.RetryRolloutRequest) (*rolloutv1.RetryRolloutResponse, error) {
	return command(ctx, r.Service, req, rolloutv1.RolloutServiceClient.RetryRollout)
}

func (r rollouts) ListHistory(ctx context.Context, req *rolloutv1.ListHistoryRequest) (*rolloutv1.ListHistoryResponse, error) {
	return steer(ctx, r.Service, req, rolloutv1.RolloutServiceClient.ListHistory)
}

func (r rollouts) GetRevision(ctx context.Context, req *rolloutv1.GetRevisionRequest) (*rolloutv1.GetRevisionResponse, error) {
	return steer(ctx, r.Service, req, rolloutv1.RolloutServiceClient.GetRevision)
}

// steer has the controller answer, if the caller is an operator.
func steer[Req proto.Message, Resp any](
	ctx context.Context, s *Service, req Req,
	call func(rolloutv1.RolloutServiceClient, context.Context, Req, ...grpc.CallOption) (Resp, error),
) (Resp, error) {
	return unary(ctx, s, req, func(ctx context.Context, principal Principal, req Req) (resp Resp, err error) {
		ctx, err = s.onBehalf(ctx, principal)
		if err != nil {
			return resp, err
		}

		return call(s.cfg.Rollouts, ctx, req)
	})
}

// command is steer for what an idempotency key keeps from being done twice. (An abort is not among it: it waits for nothing
// else, and twice is once.)
func command[Req, Resp proto.Message](
	ctx context.Context, s *Service, req Req,
	call func(rolloutv1.RolloutServiceClient, context.Context, Req, ...grpc.CallOption) (Resp, error),
) (Resp, error) {
	return unary(ctx, s, req, func(ctx context.Context, principal Principal, req Req) (resp Resp, err error) {
		ctx, err = s.onBehalf(ctx, principal)
		if err != nil {
			return resp, err
		}

		return once(ctx, s, principal, req, func(ctx context.Context) (Resp, error) { return call(s.cfg.Rollouts, ctx, req) })
	})
}

// abortSurely sends an abort again until the controller answers: an abort must not get lost with a controller that dies.
func abortSurely(
	client rolloutv1.RolloutServiceClient, ctx context.Context, req *rolloutv1.AbortRolloutRequest,
	options ...grpc.CallOption,
) (*rolloutv1.AbortRolloutResponse, error) {
	retry := backoff{}

	for again := false; ; again = true {
		resp, err := client.AbortRollout(ctx, req, options...)

		if again && fault.Is(err, "NO_CANDIDATE") { // the one before got through
			now, unseen := client.GetRollout(ctx, &rolloutv1.GetRolloutRequest{Agent: req.GetAgent()}, options...)
			if unseen != nil || !aborted(now.GetRollout()) {
				return nil, errors.Join(unseen, err)
			}

			return &rolloutv1.AbortRolloutResponse{Rollout: now.GetRollout()}, nil
		}

		if fault.CodeOf(err) != codes.Unavailable || !retry.wait(ctx) {
			return resp, err
		}
	}
}

func aborted(rollout *rolloutv1.Rollout) bool {
	return rollout.GetPhase() == rolloutv1.Phase_PHASE_ABORTING || rollout.GetPhase() == rolloutv1.Phase_PHASE_FAILED
}

// onBehalf lets operators through, and names them to the controller.
func (s *Service) onBehalf(ctx context.Context, principal Principal) (context.Context, error) {
	if principal.Role != RoleOperator {
		return ctx, fault.New(codes.PermissionDenied, "OPERATOR_REQUIRED",
			"rollouts are for tokens with the role operator; yours has the role %s", principal.Role)
	}

	if s.cfg.Rollouts == nil {
		return ctx, fault.New(codes.Unimplemented, "NO_ROLLOUTS", "this gateway runs without a controller: there are no rollouts")
	}

	return metadata.AppendToOutgoingContext(ctx, actorHeader, principal.Tenant+"/"+principal.User), nil
}

func (s *Service) watchRollouts(
	ctx context.Context, principal Principal, req *rolloutv1.WatchRolloutsRequest,
	stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse],
) error {
	ctx, err := s.onBehalf(ctx, principal)
	if err != nil {
		return err
	}

	changes, err := s.cfg.Rollouts.WatchRollouts(ctx, req)
	if err != nil {
		return err
	}

	for opened := false; ; opened = true {
		change, err := changes.Recv()

		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}

		if !opened { // until then an error is an answer with a status
			if err := stream.SendHeader(nil); err != nil {
				return err
			}
		}

		if err := stream.Send(change); err != nil {
			return err
		}

		flush(stream)
	}
}

// rolloutsSSE is GET /v1/rollouts, and GET /v1/rollouts/{agent}, as events named rollouts.
func (d *rest) rolloutsSSE(w http.ResponseWriter, r *http.Request, params map[string]string) {
	req := &rolloutv1.WatchRolloutsRequest{Agent: params["agent"]}

	serveSSE(d, w, r, rolloutv1.RolloutService_WatchRollouts_FullMethodName,
		func(stream *sseStream[rolloutv1.WatchRolloutsResponse, *rolloutv1.WatchRolloutsResponse]) error {
			return rollouts{Service: d.Service}.WatchRollouts(req, stream)
		})
}

// registerRollouts adds the REST routes. It only fails if the mux refuses a pattern, and patterns are generated.
func (d *rest) registerRollouts(mux *runtime.ServeMux) error {
	return rolloutv1.RegisterRolloutServiceHandlerServer(context.Background(), mux, rollouts{Service: d.Service})
}
