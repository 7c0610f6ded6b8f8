// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/fairlead-go/fairlead/resilience/retry"
)

// RecvMsg receives into m, from another attempt if this one fails before its first
// message.
func (s *policedStream) RecvMsg(m any) error {
	if a := s.answered.Load(); a != nil {
		return s.receive(a, m)
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	for {
		if a := s.answered.Load(); a != nil { // Header was there first
			return s.receive(a, m)
		}
		a := s.out.underWay()
		if a == nil {
			return s.out.ended()
		}
		a.busy.Add(1)
		err := a.stream.RecvMsg(m)
		if err == nil && !a.limit.Lift() && s.desc.ServerStreams {
			err = errAttemptTimeout // its context ended while the message came, and more cannot
		}
		if err == nil || errors.Is(err, io.EOF) {
			s.answer(a)
			return s.received(a, err)
		}
		if err = s.failed(a, err); err != nil {
			return err
		}
		reset(m)
	}
}

// answer makes a the last attempt of the call: it was answered.
func (s *policedStream) answer(a *streamAttempt) {
	a.judge(nil)
	s.run.Next(retry.Result{})
	s.out.last(finalAnswered)
	s.answered.Store(a)
}

// failed decides on an attempt that failed before it was answered.
func (s *policedStream) failed(a *streamAttempt, err error) error {
	s.rethrow(a)
	return s.again(a, reconstructed(err, s.cc.Target()))
}

// rethrow panics if sending to a did, on a goroutine that nobody would have heard of.
func (s *policedStream) rethrow(a *streamAttempt) {
	if v := s.out.panicOf(a); v != nil {
		panic(v) // gRPC has told closed, or will, because that canceled the attempt
	}
}

// receive receives from the call's last attempt.
func (s *policedStream) receive(a *streamAttempt, m any) error {
	if !a.judged {
		a.busy.Add(1)
	}
	err := a.stream.RecvMsg(m)
	if err != nil && !errors.Is(err, io.EOF) {
		s.rethrow(a)
		err = reconstructed(err, s.cc.Target())
	}
	return s.received(a, err)
}

// received notes what was received from the call's last attempt, and returns err.
func (s *policedStream) received(a *streamAttempt, err error) error {
	ended := err
	if errors.Is(err, io.EOF) {
		ended = nil
	}
	if !a.judged {
		a.judge(ended)
	}
	if err != nil || !s.desc.ServerStreams {
		a.end(ended)
		_ = s.end(ended)
	}
	return err
}

// Header returns the header, of another attempt if this one fails without. There are
// no other attempts once the caller has one.
func (s *policedStream) Header() (metadata.MD, error) {
	for {
		a := s.out.await()
		if a == nil {
			return nil, nil //nolint:nilnil // as grpc-go says that RecvMsg has the status
		}
		a.busy.Add(1)
		md, err := a.stream.Header()
		if md != nil || err != nil || s.answered.Load() == a {
			a.busy.Add(-1)
			if s.out.commit(a, finalHeader) {
				return md, err
			}
			continue // a was given up meanwhile
		}
		if !s.receiving.TryLock() {
			s.out.awaitOther(a) // who receives is about to decide
			continue
		}
		s.headless(a)
	}
}

// headless decides on an attempt that ended without a header, and so without a message,
// unless who receives has done that. It unlocks receiving.
func (s *policedStream) headless(a *streamAttempt) {
	defer s.receiving.Unlock()
	if s.out.underWay() != a || s.answered.Load() == a {
		return
	}
	err := a.stream.RecvMsg(&emptypb.Empty{}) // for the status
	if err == nil || errors.Is(err, io.EOF) {
		s.answer(a)
		return
	}
	_ = s.failed(a, err) // RecvMsg returns it, if it is the call's
}

// Trailer returns the trailer of the last attempt.
func (s *policedStream) Trailer() metadata.MD {
	if a := s.out.latest(); a != nil && a.stream != nil {
		return a.stream.Trailer()
	}
	return nil
}

// Context returns the context of the attempt under way, or of the call if there is
// none. There are no other attempts after that.
func (s *policedStream) Context() context.Context {
	s.out.last(finalContext)
	if a := s.out.underWay(); a != nil {
		return a.stream.Context()
	}
	return s.ctx
}
