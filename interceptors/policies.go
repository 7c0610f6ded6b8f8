// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"cmp"
	"fmt"

	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// Policing holds the calls of a client to the policies of a downstream service. One
// layer does it all, whatever is set, in this order:
//
//	retry or hedge → for each attempt: breaker → rate limit → bulkhead → attempt record → send
//
// A call that is refused ends with a [*resilience.RejectedError] that has its gRPC
// status, and was not sent. One that was retried in vain ends with a
// [*resilience.AttemptsError], which has the status of its last attempt. What a caller
// asks for by grpc.Header, grpc.Trailer or grpc.Peer is told of the last attempt or,
// of a hedged call, of the one whose answer was taken; a function given by
// grpc.OnFinish is called when the call is over, and not for each attempt.
//
// # Streams
//
// A stream is retried until its first message is received: what was sent until then is
// kept, by reference since grpc-go forbids to change it, and sent again. It is no
// longer retried once more was sent than is kept ([WithReplay]), or once the caller was
// given its header or asked for its context. A failure that would have been retried
// is then a [*resilience.AttemptsError] with [retry.ReasonNotReplayable]. While no
// attempt is under way, messages sent are kept and nothing more; the retry takes place
// where the caller receives.
//
// A time limit of attempts covers a stream until its first message. The breaker is told
// of a stream at its first message, which is a success, or at the error that comes
// before it; what happens later does not count. A stream has its place in the bulkhead
// to its end, and takes one token of the rate limit for each attempt. Streams are not
// hedged.
//
// # Use
//
// It stands below [Record] and [Deadline]. [NewClient] and [DialOptions] make one layer
// of those that follow each other in the order above, and switch gRPC's own retries off
// where it is for the policies to say how often calls are made; in a chain put together
// by hand, [google.golang.org/grpc.WithDisableRetry] does.
//
// It is safe for concurrent use.
type Policing struct {
	service  *policies.Service // nil: client applies to every method
	client   *policies.Client
	recorder *record.Recorder // nil: attempts are not recorded
	replay   replayLimit
}

var _ ClientInterceptor = (*Policing)(nil)

// PolicingOption configures [Policies] and [Retry].
type PolicingOption interface{ applyPolicing(*Policing) }

type policingOption func(*Policing)

func (f policingOption) applyPolicing(i *Policing) { f(i) }

// The defaults of [WithReplay].
const (
	DefaultReplayMessages = 64
	DefaultReplayBytes    = 256 << 10
)

// replayLimit bounds what is kept of a stream.
type replayLimit struct{ messages, bytes int }

// WithReplay sets how many messages of a stream, and how many bytes by their encoded
// size, are kept to be sent again with another attempt. A stream that is sent more
// before its first message is received is not retried. The one request of a server's
// stream is always kept. The defaults are [DefaultReplayMessages] and
// [DefaultReplayBytes]; with 0 messages, streams of clients are not retried once
// something was sent. It panics if one is negative.
func WithReplay(messages, bytes int) PolicingOption {
	if messages < 0 || bytes < 0 {
		panic(fmt.Sprintf("interceptors: WithReplay: %d messages, %d bytes: must not be negative", messages, bytes))
	}
	return policingOption(func(i *Policing) { i.replay = replayLimit{messages, bytes} })
}

// Policies returns the interceptors that hold calls to everything that s says of their
// methods. It panics if s is nil.
func Policies(s *policies.Service, opts ...PolicingOption) *Policing {
	if s == nil {
		panic("interceptors: Policies: nil service")
	}
	return newPolicing(&Policing{service: s}, opts)
}

// Retry returns the interceptors that make calls again as p says, which should be of
// one downstream service. It panics if p is nil.
func Retry(p *retry.Policy, opts ...PolicingOption) *Policing {
	if p == nil {
		panic("interceptors: Retry: nil policy")
	}
	return newPolicing(&Policing{client: &policies.Client{Retry: p}}, opts)
}

// Hedge returns the interceptors that send unary calls a second time when they take
// long, as p says. They are for methods that may be called twice at the same time.
// Streams pass through, and so do calls whose reply is no protobuf message. It panics
// if p is nil.
func Hedge(p *hedge.Policy) *Policing {
	if p == nil {
		panic("interceptors: Hedge: nil policy")
	}
	return newPolicing(&Policing{client: &policies.Client{Hedge: p}}, nil)
}

// Breaker returns the interceptors that send calls only if b lets them, and tell it how
// they ended. A refusal by a policy of the server, or of one behind it, does not count:
// see [breaker.Lease.Answered]. It panics if b is nil.
func Breaker(b *breaker.Breaker) *Policing {
	if b == nil {
		panic("interceptors: Breaker: nil breaker")
	}
	return newPolicing(&Policing{client: &policies.Client{Breaker: b}}, nil)
}

// RateLimited returns the interceptors that make calls wait for their turn by l, for as
// long as that and their deadline allow. Its counterpart on servers refuses instead of
// waiting. It panics if l is nil.
func RateLimited(l *ratelimit.Limiter) *Policing {
	if l == nil {
		panic("interceptors: RateLimited: nil limiter")
	}
	return newPolicing(&Policing{client: &policies.Client{RateLimit: l}}, nil)
}

// Bulkhead returns the interceptors that bound how many calls are under way at once, by
// b. It panics if b is nil.
func Bulkhead(b *bulkhead.Bulkhead) *Policing {
	if b == nil {
		panic("interceptors: Bulkhead: nil bulkhead")
	}
	return newPolicing(&Policing{client: &policies.Client{Bulkhead: b}}, nil)
}

// Attempts returns the interceptors that make the attempts of calls visible: each gets
// a span of its own, a child of the call's and the parent of the called server's, and
// is counted in rpc_client_attempt_duration_seconds; and the log line of a call that
// needed several says how many. It stands below the policies, since an attempt that
// they refuse is none, and needs Record(r) above. It panics if r is nil.
//
// For gRPC's own retries, which no interceptor sees, there is [GRPCAttempts].
func Attempts(r *record.Recorder) *Policing {
	if r == nil {
		panic("interceptors: Attempts: nil recorder")
	}
	return newPolicing(&Policing{client: &policies.Client{}, recorder: r}, nil)
}

func newPolicing(i *Policing, opts []PolicingOption) *Policing {
	i.replay = replayLimit{DefaultReplayMessages, DefaultReplayBytes}
	for _, o := range opts {
		o.applyPolicing(i)
	}
	return i
}

// of returns the policies of a method.
func (i *Policing) of(method string) *policies.Client {
	if i.service != nil {
		return i.service.Method(method)
	}
	return i.client
}

// repeats reports whether calls may be made more than once.
func (i *Policing) repeats() bool {
	if i.service == nil {
		return repeats(i.client)
	}
	for _, method := range i.service.Methods() {
		if repeats(i.service.Method(method)) {
			return true
		}
	}
	return repeats(i.service.Client())
}

// decidesOnRepeats reports whether it is for i to say how often calls are made.
func (i *Policing) decidesOnRepeats() bool { return i.service != nil || repeats(i.client) }

// isNothing reports whether c sends every stream once, and every call but for hedging.
func isNothing(c *policies.Client) bool {
	return c.Retry == nil && c.Breaker == nil && c.RateLimit == nil && c.Bulkhead == nil
}

func repeats(c *policies.Client) bool { return c.Retry != nil || c.Hedge != nil }

// The steps of a call, in their order.
const (
	stepRepeat = iota
	stepBreaker
	stepRateLimit
	stepBulkhead
	stepRecord
	numSteps
)

// steps returns the first and the last step that i takes.
func (i *Policing) steps() (first, last int) {
	takes := [numSteps]bool{stepRecord: i.recorder != nil}
	if c := i.client; i.service != nil {
		takes[stepRepeat], takes[stepBulkhead] = true, true
	} else {
		takes[stepRepeat] = repeats(c)
		takes[stepBreaker] = c.Breaker != nil
		takes[stepRateLimit] = c.RateLimit != nil
		takes[stepBulkhead] = c.Bulkhead != nil
	}
	first = numSteps
	for step, taken := range takes {
		if taken {
			first, last = min(first, step), step
		}
	}
	return first, last
}

// foldPolicing makes one layer of layers that follow each other, if that takes the same
// steps in the same order.
func foldPolicing(is []ClientInterceptor) []ClientInterceptor {
	var folded []ClientInterceptor
	for _, i := range is {
		inner, ok := i.(*Policing)
		if ok && len(folded) > 0 {
			if outer, ok := folded[len(folded)-1].(*Policing); ok && isBefore(outer, inner) {
				folded[len(folded)-1] = merged(outer, inner)
				continue
			}
		}
		folded = append(folded, i)
	}
	return folded
}

func isBefore(outer, inner *Policing) bool {
	_, last := outer.steps()
	first, _ := inner.steps()
	return last < first
}

// merged returns one layer of two, of which inner takes the later steps.
func merged(outer, inner *Policing) *Policing {
	one := *outer
	one.recorder = inner.recorder
	if outer.service == nil && inner.client != nil {
		a, b := outer.client, inner.client
		one.client = &policies.Client{
			Retry:     a.Retry,
			Hedge:     a.Hedge,
			Breaker:   cmp.Or(a.Breaker, b.Breaker),
			RateLimit: cmp.Or(a.RateLimit, b.RateLimit),
			Bulkhead:  cmp.Or(a.Bulkhead, b.Bulkhead),
		}
	}
	return &one
}

// withStatus returns err as gRPC understands it: with a status, whatever it is.
func withStatus(err error) error {
	err = refused(err)
	if _, ok := status.FromError(err); ok { // nil is OK
		return err
	}
	return &statusError{err}
}

// statusError is an error of this process and its status, such as the end of a context
// during a wait.
type statusError struct{ error }

// GRPCStatus is what a peer sees of it.
func (e *statusError) GRPCStatus() *status.Status { return statusOf(e.error) }

// Unwrap gives the error itself.
func (e *statusError) Unwrap() error { return e.error }
