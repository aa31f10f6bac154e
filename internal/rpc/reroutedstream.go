package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
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
}

func (s *reroutedStream) SendMsg(message any) error {
	s.request = message

	return s.ClientStream.SendMsg(message)
}

func (s *reroutedStream) RecvMsg(message any) error {
	for {
		err := s.ClientStream.RecvMsg(message)
		if err == nil || s.answered || errors.Is(err, io.EOF) {
			s.answered = true

			return err
		}

		if err := s.call.pause(s.ctx, err, true); err != nil {
			return err
		}

		if err := s.again(); err != nil {
			return err
		}
	}
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
