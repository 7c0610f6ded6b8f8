// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/record"
)

// contextStream is a server stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the stream's context.
func (s *contextStream) Context() context.Context { return s.ctx }

// serverStream is a server stream whose messages are counted. Like the stream
// it wraps, it may be used by one sender and one receiver at a time.
type serverStream struct {
	grpc.ServerStream
	ctx  context.Context
	call *record.Call
}

// Context returns the call's context.
func (s *serverStream) Context() context.Context { return s.ctx }

// SendMsg sends and counts m.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.call.Sent()
	}
	return err
}

// RecvMsg receives into m and counts it.
func (s *serverStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.call.Received()
	}
	return err
}

// clientStream tells when a client stream is over: at its last message or
// error, or when its context ends, since a caller that gives up need not
// receive any more.
type clientStream struct {
	grpc.ClientStream
	single bool // the server sends one message
	ended  atomic.Bool
	done   func(error)
	stop   func() bool
}

// newClientStream wraps cs, which was opened under ctx. done is called once,
// with nil if the stream ended well.
func newClientStream(ctx context.Context, cs grpc.ClientStream, desc *grpc.StreamDesc, done func(error)) *clientStream {
	s := &clientStream{ClientStream: cs, single: !desc.ServerStreams, done: done}
	s.stop = context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	return s
}

// RecvMsg receives into m, and ends the stream with its last message or error.
func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.received(err)
	return err
}

// received ends the stream if err, or its lack, is the last there is.
func (s *clientStream) received(err error) {
	switch {
	case errors.Is(err, io.EOF):
		s.end(nil)
	case err != nil:
		s.end(err)
	case s.single:
		s.end(nil)
	}
}

// SendMsg sends m. An error other than io.EOF, after which RecvMsg has the
// status, ends the stream.
func (s *clientStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err != nil && !errors.Is(err, io.EOF) {
		s.end(err)
	}
	return err
}

func (s *clientStream) end(err error) {
	if s.ended.CompareAndSwap(false, true) {
		if s.stop != nil {
			s.stop()
		}
		s.done(err)
	}
}

// recordedStream is a client stream whose messages are counted.
type recordedStream struct {
	*clientStream
	call *record.Call
}

// SendMsg sends and counts m.
func (s *recordedStream) SendMsg(m any) error {
	err := s.clientStream.SendMsg(m)
	if err == nil {
		s.call.Sent()
	}
	return err
}

// RecvMsg receives into m and counts it.
func (s *recordedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.call.Received()
	}
	s.received(err)
	return err
}
