// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/resilience/hedge"
)

// Why an attempt of a stream is the last one, besides what was sent.
const (
	finalOnly     = "there is no other attempt"
	finalAnswered = "it was answered"
	finalHeader   = "its header was read"
	finalContext  = "its context was asked for"
)

// outbox is the half of a policed stream that sends. It keeps what is sent for as long
// as there may be another attempt, and hands it to each in the order it was sent:
//
//	begin ─▶ catching up ─▶ under way ─▶ last: kept messages are dropped
//	  ▲          │              │
//	  └──────────┴── retire ◀───┘
//
// While no attempt is under way, or it is catching up, messages are only kept; what no
// longer fits has to wait for that, and makes the attempt the last one.
type outbox struct {
	limit  replayLimit
	single bool // there is one message to send, as of a unary call

	direct atomic.Pointer[streamAttempt] // is sent to without further ado

	mu      sync.Mutex
	moved   sync.Cond // something below has changed, or in an attempt
	current *streamAttempt
	newest  *streamAttempt // current, or the one before
	kept    []any
	bytes   int
	closing bool   // CloseSend was called
	final   string // why there is no other attempt; empty if there may be
	over    bool
	err     error // of the call, when it is over
}

// begin makes a the attempt under way, and reports whether it has nothing to catch up
// with.
func (o *outbox) begin(a *streamAttempt) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.newest = a, a
	if len(o.kept) > 0 || o.closing {
		o.moved.Broadcast()
		return false
	}
	a.caughtUp = true
	o.settle()
	return true
}

// retire ends the attempt under way, and returns why there is to be no other. There may
// be one if that is empty.
func (o *outbox) retire(a *streamAttempt) (why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.newest = nil, a
	return o.final
}

// last makes the attempt under way the last one or, if there is none, the next.
func (o *outbox) last(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finalize(why)
}

// commit is last, if a is the attempt under way.
func (o *outbox) commit(a *streamAttempt, why string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != a {
		return false
	}
	o.finalize(why)
	return true
}

func (o *outbox) finalize(why string) {
	if o.final == "" {
		o.final = why
	}
	o.settle()
}

// settle has messages sent past the outbox, once that is possible. It requires mu.
func (o *outbox) settle() {
	if a := o.current; a != nil && a.caughtUp && o.final != "" {
		o.kept = nil
		o.direct.Store(a)
	}
	o.moved.Broadcast()
}

// end ends the call.
func (o *outbox) end(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over, o.err = true, err
	o.kept = nil
	o.moved.Broadcast()
}

// ended returns what is received after the end of a call that failed.
func (o *outbox) ended() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// underWay returns the attempt under way; nil if there is none.
func (o *outbox) underWay() *streamAttempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

// latest returns the attempt under way or, if there is none, the one before.
func (o *outbox) latest() *streamAttempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.newest
}

// await returns the attempt under way, as soon as there is one; nil if there is to be
// none.
func (o *outbox) await() *streamAttempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.current == nil && !o.over {
		o.moved.Wait()
	}
	return o.current
}

// awaitOther waits until a is no longer under way, or the call is over.
func (o *outbox) awaitOther(a *streamAttempt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.current == a && !o.over {
		o.moved.Wait()
	}
}

// SendMsg sends m, or keeps it for the attempt to come.
func (s *policedStream) SendMsg(m any) error {
	a, kept, err := s.out.direct.Load(), false, error(nil)
	if a == nil {
		if a, kept, err = s.out.keep(m); a == nil {
			return err
		}
	}
	if err = a.send(m); err == nil || kept && s.out.resends(a, err) {
		return nil
	}
	if !errors.Is(err, io.EOF) { // the message is at fault, and gRPC has ended the stream
		a.lease.Release()
		a.end(err)
		_ = s.end(err)
	}
	return err
}

// send sends m with the attempt. If that fails, how the stream ended is to be received.
func (a *streamAttempt) send(m any) error {
	a.busy.Add(1)
	err := a.stream.SendMsg(m)
	if err == nil {
		a.busy.Add(-1)
	}
	return err
}

// keep keeps m, if there may be another attempt and it fits. It returns the attempt to
// send it to, if there is one that has everything else.
func (o *outbox) keep(m any) (a *streamAttempt, kept bool, err error) {
	var n int64
	if !o.single {
		n = max(size(m), 0)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		a := o.current
		switch {
		case o.over:
			return nil, false, io.EOF
		case o.closing:
			return nil, false, status.Error(codes.Internal, "SendMsg called after CloseSend")
		case o.final == "" && o.fits(n):
			o.kept = append(o.kept, m)
			o.bytes += int(n)
			if a == nil || !a.caughtUp {
				return nil, true, nil
			}
			return a, true, nil
		case a == nil || !a.caughtUp && !a.broken:
			o.moved.Wait()
		default:
			o.finalize(o.overflow())
			return a, false, nil // which returns io.EOF if it is broken
		}
	}
}

// fits reports whether a message of n bytes can be kept besides the others.
func (o *outbox) fits(n int64) bool {
	return o.single || len(o.kept) < o.limit.messages && int64(o.bytes)+n <= int64(o.limit.bytes)
}

func (o *outbox) overflow() string {
	if len(o.kept) >= o.limit.messages {
		return fmt.Sprintf("more than %d messages were sent", o.limit.messages)
	}
	return fmt.Sprintf("more than %d bytes were sent", o.limit.bytes)
}

// resends reports whether a message that was kept, and could not be sent to a, will be
// sent to another attempt if there is one.
func (o *outbox) resends(a *streamAttempt, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != a {
		return !o.over
	}
	return o.final == "" && errors.Is(err, io.EOF)
}

// CloseSend says that no more messages follow.
func (s *policedStream) CloseSend() error {
	a := s.out.direct.Load()
	if a == nil {
		if a = s.out.close(); a == nil {
			return nil
		}
	}
	return a.stream.CloseSend()
}

// close notes that no more messages follow, and returns the attempt to be told, if there
// is one that has everything else.
func (o *outbox) close() *streamAttempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing = true
	if o.current == nil || !o.current.caughtUp {
		return nil
	}
	return o.current
}

// catchUp sends to a what was sent to other attempts, until a has everything or has
// ended.
func (o *outbox) catchUp(a *streamAttempt) {
	returned := false
	defer func() {
		if !returned {
			o.stumbled(a, recover())
		}
	}()
	for n := 0; ; n++ {
		m, more, closing := o.next(a, n)
		if closing {
			_ = a.stream.CloseSend()
		}
		if !more {
			break
		}
		if err := a.send(m); err != nil {
			o.broke(a)
			break
		}
	}
	returned = true
}

// next returns the n-th message for a. After the last one it says whether that is all
// that there will be.
func (o *outbox) next(a *streamAttempt, n int) (m any, more, closing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over || o.current != a:
		return nil, false, false
	case n < len(o.kept):
		return o.kept[n], true, false
	}
	a.caughtUp = true
	o.settle()
	return nil, false, o.closing
}

// broke notes that a takes no messages any more.
func (o *outbox) broke(a *streamAttempt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.broken = true
	o.moved.Broadcast()
}

// stumbled notes that sending to a panicked or, without a value, ended its goroutine,
// and ends the attempt for who receives.
func (o *outbox) stumbled(a *streamAttempt, value any) {
	if value == nil {
		value = errGoexit
	}
	o.mu.Lock()
	a.broken = true
	a.panicked = &hedge.PanicError{Value: value, Stack: debug.Stack()}
	o.moved.Broadcast()
	o.mu.Unlock()
	a.cancel()
}

// panicOf returns what sending to a panicked with, or nil.
func (o *outbox) panicOf(a *streamAttempt) any {
	o.mu.Lock()
	defer o.mu.Unlock()
	return a.panicked
}
