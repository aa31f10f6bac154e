package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// reroutedStream is a stream with one request that is sent again, as long as no answer has come. Its methods are
// called one after the other, as generated code does.
type reroutedStream struct {
	grpc.ClientStream

	ctx  context.Context // the caller's; an attempt's own ends with it
	call *resending
	open func() (grpc.ClientStream, error)

	request  any
	answered bool
	// early is the first answer, if the header was asked for before it.
	early *early
}

// early is a message whose type nobody has said yet, or the error in its place.
type early struct {
	message emptypb.Empty // keeps all fields as unknown ones
	err     error
}

// Header returns the header of the attempt that was taken. That is known once it answers, so it waits for that rather
// than for the header alone: a refused attempt has one as well.
func (s *reroutedStream) Header() (metadata.MD, error) {
	if !s.answered {
		first := &early{}
		first.err = s.RecvMsg(&first.message)
		s.early = first
	}

	return s.ClientStream.Header()
}

func (s *reroutedStream) SendMsg(message any) error {
	s.request = message

	return s.ClientStream.SendMsg(message)
}

func (s *reroutedStream) RecvMsg(message any) error {
	if first := s.early; first != nil {
		s.early = nil

		return first.into(message)
	}

	for {
		err := s.ClientStream.RecvMsg(message)
		if err == nil || s.answered || errors.Is(err, io.EOF) {
			s.answered = true

			return err
		}

		if err = s.call.pause(s.ctx, err, true); err == nil {
			err = s.again()
		}

		if err != nil {
			s.answered = true

			return err
		}
	}
}

// into makes the message what its receiver expects.
func (e *early) into(message any) error {
	if e.err != nil {
		return e.err
	}

	expected, ok := message.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "the answer is protobuf, not %T", message)
	}

	bytes, err := proto.Marshal(&e.message)
	if err == nil {
		err = proto.Unmarshal(bytes, expected)
	}

	if err != nil {
		return status.Errorf(codes.Internal, "decoding the first answer: %v", err)
	}

	return nil
}

// again opens a new stream and sends the request on it.
func (s *reroutedStream) again() error {
	stream, err := s.open()
	if err != nil {
		return err
	}

	s.ClientStream = stream

	if err := stream.SendMsg(s.request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}

	return stream.CloseSend()
}
