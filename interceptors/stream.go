// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

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
	ctx      context.Context
	call     *record.Call
	answered atomic.Bool // the answer has begun, and has the call's ids
}

// Context returns the call's context.
func (s *serverStream) Context() context.Context { return s.ctx }

// answer puts the ids into the header of an answer about to begin.
func (s *serverStream) answer() {
	if !s.answered.Load() && s.answered.CompareAndSwap(false, true) {
		answerIDs(s.call, true)
	}
}

// SendHeader sends the header, with the ids.
func (s *serverStream) SendHeader(md metadata.MD) error {
	s.answer()
	return s.ServerStream.SendHeader(md)
}

// SendMsg sends and counts m.
func (s *serverStream) SendMsg(m any) error {
	s.answer()
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

// isGivenUp reports whether a client stream that grpc-go has finished with err
// may be over without anybody having received that: it was cancelled, ran out
// of time, or lost its connection's [grpc.ClientConn] to Close. Whatever else
// ends a stream is received; and it may end but one of several streams, if an
// interceptor further in tries again.
func isGivenUp(err error) bool {
	code := status.Code(err)
	return code == codes.Canceled || code == codes.DeadlineExceeded
}

// clientStream tells when a client stream is over: at its last message or error.
type clientStream struct {
	grpc.ClientStream
	single bool        // the server sends one message
	done   func(error) // may be called more than once
}

// newClientStream wraps cs. done is called with nil if the stream ended well,
// and again if it is used after its end.
func newClientStream(cs grpc.ClientStream, desc *grpc.StreamDesc, done func(error)) *clientStream {
	return &clientStream{ClientStream: cs, single: !desc.ServerStreams, done: done}
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
		s.done(nil)
	case err != nil:
		s.done(err)
	case s.single:
		s.done(nil)
	}
}

// SendMsg sends m. An error other than io.EOF, after which RecvMsg has the
// status, ends the stream.
func (s *clientStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err != nil && !errors.Is(err, io.EOF) {
		s.done(err)
	}
	return err
}

// recordedStream is a client stream whose messages are counted.
type recordedStream struct {
	*clientStream
	call   *record.Call
	target string
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
	switch {
	case err == nil:
		s.call.Received()
	case !errors.Is(err, io.EOF):
		err = reconstructed(err, s.target)
	}
	s.received(err)
	return err
}
