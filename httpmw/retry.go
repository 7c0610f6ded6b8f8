// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// DefaultReplayBytes is how many bytes of a request's body are kept, by default, so
// that it can be sent again.
const DefaultReplayBytes = 64 << 10

// ReasonNotIdempotent says why there was no other attempt at a request: the server
// may have done what it asked for, and would do it again. It is one of those of a
// [resilience.AttemptsError], besides package retry's.
const ReasonNotIdempotent = "not idempotent"

// PolicingOption says which requests [PoliciesTransport], [RetryTransport] and
// [HedgeTransport] may send more than once.
type PolicingOption interface{ applyPolicing(*repeats) }

type policingOption func(*repeats)

func (o policingOption) applyPolicing(c *repeats) { o(c) }

type repeats struct {
	repeatable []string // methods
	buffer     int64
}

func newRepeats(opts []PolicingOption) repeats {
	c := repeats{
		// RFC 9110, section 9.2.2, but for CONNECT, which no client of this kind sends.
		repeatable: []string{
			http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace, "",
		},
		buffer: DefaultReplayBytes,
	}
	for _, o := range opts {
		o.applyPolicing(&c)
	}
	return c
}

// WithRepeatable adds methods whose requests do no more when they are handled twice
// than when they are once, such as POST to a service that only looks things up. The
// default is those that are idempotent by RFC 9110, section 9.2.2: GET, HEAD,
// OPTIONS, TRACE, PUT and DELETE. Names are case-sensitive. Several uses add up.
//
// For a single request see [RetryTransport].
func WithRepeatable(methods ...string) PolicingOption {
	return policingOption(func(c *repeats) { c.repeatable = append(c.repeatable, methods...) })
}

// WithReplay sets how many bytes are kept of a request's body that comes
// without GetBody, while it is sent; a longer one is sent once. The default is
// [DefaultReplayBytes]; with 0, or less, none is kept.
func WithReplay(bytes int64) PolicingOption {
	return policingOption(func(c *repeats) { c.buffer = bytes })
}

// RetryTransport returns the transport that sends a request again whose attempt failed
// in a way that p retries, as often as p allows. By default that is what [OutcomeOf]
// calls transient or overload (425, 429, 503), a connection that could not be made or
// broke, and what may be another instance's or another moment's doing: 500, 502, a time
// limit of ours, and 504 while there is time left. [retry.WithRetryOn] takes the place
// of all that. Push-back (Retry-After, X-Retry-Pushback-Ms) is obeyed.
//
// Only a request that may be handled twice is sent again:
//
//   - one with an idempotent method, or with a method of [WithRepeatable];
//   - one with an Idempotency-Key or X-Idempotency-Key. As with net/http, a key
//     without a value (Header["Idempotency-Key"] = nil) says so and is not sent;
//   - any that was certainly not sent, because there was no connection or a policy
//     of this process refused it.
//
// Its body comes from GetBody or, without that, from what was kept of it
// ([WithReplay]). A request that would have been retried but for its method
// or its body is not, and the error says so: [ReasonNotIdempotent],
// [retry.ReasonNotReplayable].
//
// When there is no other attempt the answer to the last one is returned as it is:
// a 503 is a response, not an error. [CheckResponse] makes an error of it, with a
// [*resilience.AttemptsError] in its chain that says why there was not another.
// If the last attempt had no answer, its error has that in its chain. Answers given
// up before that are read, up to 4 KiB, and closed.
//
// Attempts are numbered on the wire (X-Previous-Attempts), and are told the time
// that is left when they are sent. A time limit of attempts is that of their header.
//
// The http.Client above sends each redirect as a request of its own: each is retried
// by itself, and counts by itself for p's budget. It panics if p is nil.
func RetryTransport(p *retry.Policy, opts ...PolicingOption) Transport {
	if p == nil {
		panic("httpmw: RetryTransport: nil policy")
	}
	return newPolicing(&policies.Client{Retry: p}, opts).transport
}

// isRepeatable reports whether a request may be handled twice.
func (c *repeats) isRepeatable(req *http.Request) bool {
	if slices.Contains(c.repeatable, req.Method) {
		return true
	}
	for _, k := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := req.Header[k]; ok {
			return true
		}
	}
	return false
}

// retry sends req as often as it takes and c.Retry allows.
func (p *policing) retry(c *policies.Client, req *http.Request) (*http.Response, error) {
	repeatable, buffer := p.isRepeatable(req), p.buffer
	if !repeatable {
		buffer = 0 // only one that was never sent is sent again
	}
	from := bodiesOf(req, c.Retry.MaxAttempts(), buffer)
	var end ending
	var limit *retry.Limit
	concluded := false
	defer func() {
		from.over()
		if !concluded { // an observer panicked; after a backoff there is nothing to give up
			end.drop()
			limit.End()
		}
	}()
	run := c.Retry.Start(req.Context())
	for {
		end, limit = p.try(c, &run, &from)
		wait, again, _ := run.Next(end.result(repeatable, from.again()))
		if !again {
			end.conclude(req, run.Summary())
			concluded = true
			return end.answer(limit, nil)
		}
		from.retire()
		end.drop()
		limit.End()
		end, limit = ending{}, nil
		if err := run.Wait(wait); err != nil {
			return nil, err
		}
	}
}

// try makes one attempt of run. Its context lives on, unless it panics.
func (p *policing) try(c *policies.Client, run *retry.Run, from *bodies) (end ending, limit *retry.Limit) {
	ctx, limit := run.Begin()
	returned := false
	defer func() {
		if !returned {
			limit.End()
		}
	}()
	req, number := from.req, run.Attempt().Number
	if previous := retry.PreviousAttempts(ctx); previous > 0 || limit != nil || from.replay != nil {
		var err error
		if req, err = from.request(ctx, number); err != nil {
			returned = true
			return ending{ctx: ctx, err: err, outcome: outcomeOf(ctx, nil, err), veto: retry.ReasonNotReplayable}, limit
		}
	}
	end = p.attempt(c, req, limit)
	returned = true
	return end, limit
}

// request returns the request of an attempt of that number.
func (b *bodies) request(ctx context.Context, number int) (*http.Request, error) {
	body, err := b.next(number)
	if err != nil {
		return nil, fmt.Errorf("httpmw: attempt %d: GetBody: %w", number, err)
	}
	req := b.req.WithContext(ctx)
	req.Body = body
	if previous := retry.PreviousAttempts(ctx); previous > 0 {
		req.Header = cloneHeader(req.Header)
		req.Header[HeaderPreviousAttempts] = []string{strconv.Itoa(previous)}
	}
	if number > 1 {
		tellTimeLeft(ctx, req.Header)
	}
	return req, nil
}

// result returns what a policy is told of an attempt. again says that there is a body
// for another one.
func (e *ending) result(repeatable, again bool) retry.Result {
	res := retry.Result{Outcome: e.outcome, Err: e.err, Veto: e.veto, Pushback: e.said}
	switch {
	case e.outcome == resilience.OutcomeOK:
		return res
	case e.resp != nil:
		res.Err = statusError(e.resp.StatusCode)
	default:
		if refusal, ok := errors.AsType[*resilience.RejectedError](e.err); ok && refusal.RetryAfter > 0 {
			res.Pushback = retry.PushbackAfter(refusal.RetryAfter)
		}
	}
	res.Retryable = repeatable && (e.outcome == resilience.OutcomeTimeout || e.resp != nil && isWorthRetry(e.resp.StatusCode))
	switch {
	case res.Veto != "":
	case !repeatable && !wasNotSent(e.err):
		res.Veto = ReasonNotIdempotent
	case !again:
		res.Veto = retry.ReasonNotReplayable
	}
	return res
}

// conclude makes the attempt the last one of req.
func (e *ending) conclude(req *http.Request, s retry.Summary) {
	if e.resp == nil {
		e.err = s.Err
		return
	}
	if attempts, ok := errors.AsType[*resilience.AttemptsError](s.Err); ok {
		if e.resp.Request == nil {
			e.resp.Request = req
		}
		withAttempts(e.resp, attempts)
	}
}

// wasNotSent reports whether err says that nothing of a request was sent: there was no
// connection, or a policy refused. net/http does not dial once it has sent something
// that it may not send again.
func wasNotSent(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*resilience.AttemptsError](err); ok {
		return false // the last of several was not
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Op == "dial" || e.Op == "proxyconnect"
	}
	return isDNS(err) || isRejection(err)
}

// statusError is the answer of an attempt as an error: "503 Service Unavailable".
type statusError int

func (e statusError) Error() string { return strconv.Itoa(int(e)) + " " + statusTitle(int(e)) }
