// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// attempt is one attempt of a call on its way through the steps after retry and hedge.
// Whatever it holds is given back by over.
type attempt struct {
	ctx    context.Context //nolint:containedctx // the attempt's; it says afterwards who ended it
	lease  breaker.Lease
	slot   bulkhead.Permit
	record *record.Attempt
	began  time.Duration
}

// admit asks for the permission to send the attempt.
func (a *attempt) admit(ctx context.Context, p *policies.Client) (err error) {
	a.ctx = ctx
	if p.Breaker != nil {
		if a.lease, err = p.Breaker.Allow(ctx); err != nil {
			return err
		}
	}
	if p.RateLimit != nil {
		if err = p.RateLimit.Wait(ctx); err != nil {
			return waited(err)
		}
	}
	if p.Bulkhead != nil {
		if a.slot, err = p.Bulkhead.Allow(ctx); err != nil {
			return waited(err)
		}
	}
	return nil
}

// waitError is the end of a context while a call waited for its turn in this process: of
// the service it says nothing, also to a breaker further out.
type waitError struct{ error }

// Unwrap gives the policy's own error.
func (e *waitError) Unwrap() error { return e.error }

// waited returns what a policy that may wait has said.
func waited(err error) error {
	if isRefused(err) {
		return err
	}
	return &waitError{err}
}

// start begins the attempt and its record, if r is not nil, and returns the context to
// send it with.
func (a *attempt) start(r *record.Recorder) context.Context {
	a.began = now()
	ctx := a.ctx
	if r != nil {
		if ctx, a.record = r.StartAttempt(ctx); a.record != nil {
			a.record.Begin(false)
		}
	}
	return outgoingAttempt(ctx, a.record, retry.PreviousAttempts(ctx))
}

// outgoingAttempt returns ctx with metadata that tell of an attempt, where they told of
// its call: its identity, unless it has none of its own or a is nil, and how many
// attempts there were before it, if there were any.
func outgoingAttempt(ctx context.Context, a *record.Attempt, previous int) context.Context {
	var md metadata.MD
	own := func() metadata.MD {
		if md == nil {
			if md, _ = metadata.FromOutgoingContext(ctx); md == nil { // a copy, if there is any
				md = metadata.MD{}
			}
		}
		return md
	}
	if previous > 0 {
		own().Set(keyPreviousAttempts, strconv.Itoa(previous))
	}
	if a != nil {
		if out := a.Outgoing(); out.Traceparent != "" {
			own().Set(ctxutil.KeyTraceparent, out.Traceparent)
			delete(md, ctxutil.KeyTracestate)
			if out.Tracestate != "" {
				md.Set(ctxutil.KeyTracestate, out.Tracestate)
			}
		}
		a.Inject(func() ctxutil.Carrier { return ctxutil.MetadataCarrier(own()) })
	}
	if md == nil {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// result returns how the attempt ended that returned err, with that trailer.
func (a *attempt) result(err error, trailer metadata.MD) retry.Result {
	if err == nil {
		return retry.Result{}
	}
	return retry.Result{Outcome: outcomeOf(a.ctx, err), Err: err, Pushback: pushbackOf(trailer, err)}
}

// report tells the breaker of the attempt. Only the first report counts.
func (a *attempt) report(res retry.Result) {
	var after time.Duration
	if res.Err != nil {
		if _, ok := errors.AsType[*waitError](res.Err); ok {
			a.lease.Release()
			return
		}
		if e, ok := errors.AsType[*resilience.RejectedError](res.Err); ok && e.Remote {
			a.lease.Answered(a.ctx)
			return
		}
		after = retryAfter(res)
	}
	a.lease.Done(a.ctx, res.Outcome, now()-a.began, after)
}

// retryAfter returns how long the server asked not to be called. One that asks not to
// be sent this call again may say that as well.
func retryAfter(res retry.Result) time.Duration {
	d, ok := res.Pushback.After()
	if !ok && res.Pushback.IsStop() {
		d, _ = retryDelay(status.Convert(res.Err).Details())
	}
	return d
}

// sentTo notes where the attempt was sent to, if that is known.
func (a *attempt) sentTo(at net.Addr) {
	if a.record != nil && at != nil {
		a.record.SetPeer(at)
	}
}

// over frees the attempt's place in the bulkhead and finishes its record: it ended with
// err. Only the first time counts, from whatever goroutine.
func (a *attempt) over(err error) {
	a.slot.Done()
	if a.record != nil {
		st := status.Convert(err)
		a.record.Finish(clientStatuses.ofCode(st.Code()), st.Message())
	}
}

// origin is where now counts from. Its value does not matter.
var origin = time.Now()

// now reads the monotonic clock alone, at half the price of time.Now.
func now() time.Duration { return time.Since(origin) }
