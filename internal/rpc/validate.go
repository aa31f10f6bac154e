package rpc

import (
	"context"
	"errors"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/internal/fault"
)

func validateUnary(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	if err := Validate(request); err != nil {
		return nil, err
	}

	return handler(ctx, request)
}

func validateStream(
	server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	return handler(server, validatingStream{stream})
}

// validatingStream refuses each bad message as it arrives.
type validatingStream struct{ grpc.ServerStream }

func (s validatingStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}

	return Validate(message)
}

// Validate checks a message against the rules in its proto. It returns an INVALID_ARGUMENT fault that names each bad
// field by its path; values are not repeated.
func Validate(message any) error {
	checked, ok := message.(proto.Message)
	if !ok {
		return nil
	}

	err := protovalidate.Validate(checked)
	if err == nil {
		return nil
	}

	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return fault.New(codes.Internal, "BAD_RULES", "validating %s: %w", checked.ProtoReflect().Descriptor().FullName(), err)
	}

	violations := make([]fault.Violation, len(invalid.Violations))
	for i, violation := range invalid.Violations {
		violations[i] = fault.Violation{
			Field:   protovalidate.FieldPathString(violation.Proto.GetField()),
			Message: violation.Proto.GetMessage(),
		}
	}

	return fault.Invalid(violations...)
}
