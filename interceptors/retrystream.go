// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// StreamClient returns the interceptor for streams opened.
func (i *Policing) StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		p := i.of(method)
		if isNothing(p) && i.recorder == nil {
			return open(ctx, desc, cc, method, opts...)
		}
		s := &policedStream{
			policies: p, recorder: i.recorder,
			ctx: ctx, desc: desc, cc: cc, method: method, open: open, opts: opts,
		}
		s.out.limit, s.out.single = i.replay, !desc.ClientStreams
		s.out.moved.L = &s.out.mu
		if err := s.start(); err != nil {
			return nil, err
		}
		return s, nil
	}
}

// policedStream is a client stream of one attempt or of several, one after the other.
// Until an attempt is answered by a first message, who receives decides on whether
// there is another, and who sends has its messages kept; see [outbox]. From then on the
// two meet nowhere but in the stream below.
type policedStream struct {
	policies *policies.Client
	recorder *record.Recorder
	ctx      context.Context //nolint:containedctx // of the call, and so of attempts to come
	desc     *grpc.StreamDesc
	cc       *grpc.ClientConn
	method   string
	open     grpc.Streamer
	opts     []grpc.CallOption // the caller's

	out outbox

	receiving sync.Mutex // guards run, and is held by who receives before there is an answer
	run       retry.Run
	answered  atomic.Pointer[streamAttempt] // set when no other attempt follows this one

	first    streamAttempt
	finished sync.Once // and not a flag: who comes second returns with all done
}

// streamAttempt is one attempt of a stream.
type streamAttempt struct {
	attempt
	stream grpc.ClientStream // nil if it could not be opened
	limit  *retry.Limit
	cancel context.CancelFunc // of one that follows another; or nil
	peer   peer.Peer
	judged bool // the breaker was told; for who receives
	// busy counts those who wait for the stream, and will say how it ended.
	busy atomic.Int32

	// Of the outbox: the attempt has been sent everything that was kept, or will not
	// be, because its stream broke on the way.
	caughtUp, broken bool
	panicked         any
}

// start makes the first attempt, and others if it fails at once.
func (s *policedStream) start() error {
	if s.policies.Retry != nil {
		s.run = s.policies.Retry.Start(s.ctx)
	}
	if err := s.try(&s.first); err != nil {
		return s.again(&s.first, err)
	}
	s.begin(&s.first)
	return nil
}

// try makes an attempt, as far as it can be made without sending anything.
func (s *policedStream) try(a *streamAttempt) (err error) {
	returned := false
	defer func() {
		if !returned {
			a.lease.Release()
			a.end(errPanic)
		}
	}()
	a.busy.Store(1)
	if err = a.admit(s.context(a), s.policies); err == nil {
		a.stream, err = s.open(a.start(s.recorder), s.desc, s.cc, s.method, s.options(a)...)
		err = reconstructed(err, s.cc.Target())
	}
	if err == nil {
		a.busy.Add(-1)
	}
	returned = true
	return err
}

// context returns the context of an attempt.
func (s *policedStream) context(a *streamAttempt) context.Context {
	if s.policies.Retry == nil {
		return s.ctx
	}
	ctx, limit := s.run.Begin()
	a.limit = limit
	if a != &s.first {
		ctx, a.cancel = context.WithCancel(ctx)
	}
	return ctx
}

// options returns the options of an attempt.
func (s *policedStream) options(a *streamAttempt) []grpc.CallOption {
	opts := appendLasting(make([]grpc.CallOption, 0, len(s.opts)+2), s.opts)
	if s.recorder != nil {
		opts = append(opts, grpc.Peer(&a.peer))
	}
	return append(opts, grpc.OnFinish(func(err error) { s.closed(a, err) }))
}

// closed is called when gRPC is done with the stream of an attempt, on whatever
// goroutine. Unless the context ended or the connection was closed, somebody is there to
// whom it returns that.
func (s *policedStream) closed(a *streamAttempt, err error) {
	a.sentTo(a.peer.Addr)
	if err == nil || !isGivenUp(err) {
		return
	}
	answered, alone := s.answered.Load() == a, a.busy.Load() == 0
	if alone {
		a.lease.Release()
	}
	if answered || alone {
		a.end(err)
	} else {
		a.over(err) // its context has to say yet who ended it
	}
	gone := status.Code(err) == codes.Canceled && !a.timedOut()
	if answered || gone || s.ctx.Err() != nil {
		_ = s.end(err)
	}
}

// begin makes a the attempt under way, and sends what other attempts were sent.
func (s *policedStream) begin(a *streamAttempt) {
	p := s.policies.Retry
	switch {
	case p == nil:
		s.answered.Store(a)
		s.out.last(finalOnly)
	case s.run.Attempt().Number == p.MaxAttempts():
		s.out.last(finalOnly)
	}
	if s.out.begin(a) {
		return
	}
	if s.desc.ClientStreams {
		go s.out.catchUp(a) // the server may send before it has received everything
	} else {
		s.out.catchUp(a)
	}
}

// again decides on an attempt that failed before it was answered, and makes others
// until there is one with a stream. If there is none, it returns the error that the call
// ends with.
func (s *policedStream) again(a *streamAttempt, err error) error {
	decided := false
	defer func() {
		if !decided { // an observer panicked, or an interceptor
			_ = s.end(errPanic)
		}
	}()
	for {
		why := s.out.retire(a)
		if a.timedOut() && status.Code(err) == codes.Canceled {
			err = errAttemptTimeout
		}
		res := a.judge(err)
		a.end(err)
		if s.policies.Retry == nil {
			decided = true
			return s.end(err)
		}
		if why != "" {
			res.Veto = retry.ReasonNotReplayable
		}
		wait, more, _ := s.run.Next(res)
		if !more || s.run.Wait(wait) != nil {
			decided = true
			return s.end(notReplayed(s.run.Summary(), err, why))
		}
		forget(s.opts)
		a = &streamAttempt{}
		if err = s.try(a); err == nil {
			s.begin(a)
			decided = true
			return nil
		}
	}
}

// errAttemptTimeout is an attempt that its time limit ended: gRPC only knows that it was
// canceled.
var errAttemptTimeout error = &statusError{fmt.Errorf("the attempt took too long: %w", ctxutil.ErrTimeout)}

// notReplayed returns the error of a call. It says why, if the call could not be
// replayed.
func notReplayed(s retry.Summary, last error, why string) error {
	if s.Reason != retry.ReasonNotReplayable {
		return s.Err
	}
	return &resilience.AttemptsError{
		Attempts: s.Attempts,
		Reason:   s.Reason,
		Last:     fmt.Errorf("stream cannot be replayed: %s: %w", why, last),
	}
}

// end ends the call with err, if it has not ended yet, and returns err with its status.
func (s *policedStream) end(err error) error {
	err = withStatus(err)
	s.finished.Do(func() {
		s.out.end(err)
		finished(s.opts, err)
	})
	return err
}

// end frees what the attempt holds: its stream ended with err. It may be called more
// than once, from whatever goroutine.
func (a *streamAttempt) end(err error) {
	a.over(err)
	a.limit.End()
	if a.cancel != nil {
		a.cancel()
	}
}

// timedOut reports whether the time limit of attempts ended this one.
func (a *streamAttempt) timedOut() bool {
	return a.limit != nil && errors.Is(context.Cause(a.ctx), ctxutil.ErrTimeout)
}

// judge tells the breaker how the attempt ended or, with nil, that it was answered.
func (a *streamAttempt) judge(err error) retry.Result {
	var trailer metadata.MD
	if err != nil && a.stream != nil {
		trailer = a.stream.Trailer()
	}
	res := a.result(err, trailer)
	a.report(res)
	a.judged = true
	return res
}
