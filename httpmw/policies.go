// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// PoliciesTransport returns the transport that applies all policies of the
// downstream service s to what is sent to it, in one layer: a request is retried
// ([RetryTransport]) or hedged ([HedgeTransport]), and each attempt asks the
// breaker ([BreakerTransport]), then waits for the rate limit
// ([RateLimitTransport]), then for a place in the bulkhead ([BulkheadTransport]).
// Below it goes [AttemptTransport], above it what is done once for a request.
//
// A request whose method and path match a pattern of s.Methods, as in an
// [http.ServeMux], is under the policies of that pattern.
//
// It is made once for each client of the service; several share the policies of s.
// It panics if s is nil.
func PoliciesTransport(s *policies.Service, opts ...PolicingOption) Transport {
	if s == nil {
		panic("httpmw: PoliciesTransport: nil service")
	}
	p := newPolicing(s.Client(), opts)
	for _, name := range s.Methods() {
		if strings.HasPrefix(name, "/") { // gRPC's
			continue
		}
		if p.methods == nil {
			p.service, p.methods = s, http.NewServeMux()
			p.methods.Handle("/", http.NotFoundHandler()) // all others: looking for what else there is costs more
		}
		p.methods.Handle(name, http.NotFoundHandler())
	}
	return p.transport
}

// BreakerTransport returns the transport that asks b before a request is sent, and
// tells it how that ended, when the header of the answer is there: by the status
// ([OutcomeOf]), or by the error if there is none. What becomes of the body does
// not count. A refused request fails with a [*resilience.RejectedError] that
// matches gobreaker.ErrOpenState; 429 and 503 keep b open for as long as they ask
// for (Retry-After, X-Retry-Pushback-Ms). An answer by which a policy of the server
// refuses the request ([HeaderRejected]) does not count: see [breaker.Lease.Answered].
//
// A request that redirects led to another origin passes by: another server's
// failures are not this service's. That holds for all policies here.
//
// It panics if b is nil.
func BreakerTransport(b *breaker.Breaker) Transport {
	if b == nil {
		panic("httpmw: BreakerTransport: nil breaker")
	}
	return newPolicing(&policies.Client{Breaker: b}, nil).transport
}

// RateLimitTransport returns the transport that takes a token of l for each request,
// and waits for it as [ratelimit.Limiter.Wait] does. A request for which that would
// take too long fails with a [*resilience.RejectedError] that matches
// resilience.ErrRateLimited. It panics if l is nil.
func RateLimitTransport(l *ratelimit.Limiter) Transport {
	if l == nil {
		panic("httpmw: RateLimitTransport: nil limiter")
	}
	return newPolicing(&policies.Client{RateLimit: l}, nil).transport
}

// BulkheadTransport returns the transport that takes a slot of b for each request,
// and keeps it until the body of the answer is over: read to its end, closed, or
// ended with the request's context. A request for which there is none fails with a
// [*resilience.RejectedError] that matches resilience.ErrOverloaded. A connection
// that switches protocols (101) leaves b: it is the caller's from then on.
//
// It panics if b is nil.
func BulkheadTransport(b *bulkhead.Bulkhead) Transport {
	if b == nil {
		panic("httpmw: BulkheadTransport: nil bulkhead")
	}
	return newPolicing(&policies.Client{Bulkhead: b}, nil).transport
}

// policing applies policies to requests: one layer, whatever they are.
type policing struct {
	client  *policies.Client
	service *policies.Service // nil without methods
	methods *http.ServeMux    // the patterns that have policies of their own; nil without
	repeats
	next http.RoundTripper
}

func newPolicing(c *policies.Client, opts []PolicingOption) *policing {
	return &policing{client: c, repeats: newRepeats(opts)}
}

func (p *policing) transport(next http.RoundTripper) http.RoundTripper {
	on := *p
	on.next = next
	return &on
}

// RoundTrip implements [http.RoundTripper].
func (p *policing) RoundTrip(req *http.Request) (*http.Response, error) {
	if isAway(req.Context()) {
		return p.next.RoundTrip(req)
	}
	c := p.client
	if p.methods != nil {
		_, pattern := p.methods.Handler(req)
		c = p.service.Method(pattern)
	}
	switch {
	case c.Retry != nil:
		return p.retry(c, req)
	case c.Hedge != nil && p.isHedgeable(req):
		return p.hedge(c, req)
	default:
		end := p.attempt(c, req, nil)
		return end.answer(nil, nil)
	}
}

// ending is how an attempt ended.
type ending struct {
	ctx     context.Context //nolint:containedctx // of the attempt, and of the body of its response
	resp    *http.Response  // nil if there is an error
	err     error
	outcome resilience.Outcome
	said    retry.Pushback
	veto    string          // why there cannot be another attempt
	slot    bulkhead.Permit // of a response, until its body is over
	slotted bool            // there is a slot
}

// attempt sends req once, if the policies allow it, and closes its body whatever
// happens. limit is that of the time until there is an answer.
func (p *policing) attempt(c *policies.Client, req *http.Request, limit *retry.Limit) (end ending) {
	end.ctx = req.Context()
	var lease breaker.Lease
	sent, reported, returned := false, false, false
	defer func() {
		if !sent {
			closeBody(req)
		}
		if !reported {
			lease.Release()
		}
		if !returned { // a panic, which goes on, or runtime.Goexit
			end.drop()
		}
	}()
	waits := c.RateLimit != nil || c.Bulkhead != nil
	var asked, start time.Duration
	if waits {
		asked = now()
	}
	if end.err = end.admit(c, &lease); end.err != nil {
		end.outcome = outcomeOf(end.ctx, nil, end.err)
		returned = true
		return end
	}
	if waits || c.Breaker != nil {
		start = now()
	}
	if waits && start-asked >= time.Millisecond {
		req = withTimeLeft(req)
	}
	sent = true
	end.resp, end.err = p.next.RoundTrip(req) //nolint:bodyclose // answer hands it out, drop closes it
	if end.err == nil && !limit.Lift() {      // it passed in that moment
		_ = end.resp.Body.Close()
		end.resp, end.err = nil, context.Cause(end.ctx)
	}
	end.judge()
	switch reported = true; {
	case c.Breaker == nil:
	case end.resp != nil && isRefusal(end.resp):
		lease.Answered(end.ctx)
	default:
		lease.Done(end.ctx, end.outcome, now()-start, end.retryAfter())
	}
	returned = true
	return end
}

// admit asks whether the attempt may be sent, in the order of what it costs to be
// refused.
func (e *ending) admit(c *policies.Client, lease *breaker.Lease) (err error) {
	if c.Breaker != nil {
		if *lease, err = c.Breaker.Allow(e.ctx); err != nil {
			return err
		}
	}
	if c.RateLimit != nil {
		if err = c.RateLimit.Wait(e.ctx); err != nil {
			return err
		}
	}
	if c.Bulkhead != nil {
		if e.slot, err = c.Bulkhead.Allow(e.ctx); err != nil {
			return err
		}
		e.slotted = true
	}
	return nil
}

// judge says how an attempt ended that was sent.
func (e *ending) judge() {
	e.outcome = outcomeOf(e.ctx, e.resp, e.err)
	if e.resp != nil && e.outcome != resilience.OutcomeOK {
		e.said = pushbackOf(e.resp.Header, time.Now())
	}
}

// retryAfter returns for how long the server asked not to be called at all. One that
// asks not to be sent this request again may say that as well.
func (e *ending) retryAfter() time.Duration {
	d, ok := e.said.After()
	if !ok && e.said.IsStop() {
		d, _ = retry.ParseRetryAfter(e.resp.Header.Get(headerRetryAfter), time.Now())
	}
	return d
}

// drop gives up an attempt, with the answer to it if there is one.
func (e *ending) drop() {
	if e.resp != nil {
		discard(e.resp)
	}
	e.slot.Done()
}

// answer returns what a request came to whose last attempt this is. What the attempt
// held, limit and release as well, is given back when the body of the response is
// over. Both may be nil.
func (e *ending) answer(limit *retry.Limit, release func()) (*http.Response, error) {
	if !e.slotted && limit == nil && release == nil {
		return e.resp, e.err
	}
	h := &held{slot: e.slot, limit: limit, release: release}
	switch {
	case e.resp == nil:
		h.bodyOver(nil)
		return nil, e.err
	case e.resp.StatusCode == http.StatusSwitchingProtocols || isEmpty(e.resp.Body):
		h.bodyOver(nil)
		return e.resp, nil
	}
	if e.slotted {
		h.stop = context.AfterFunc(e.ctx, h.slot.Done)
	}
	h.ReadCloser, h.end = e.resp.Body, h
	e.resp.Body = &h.body
	return e.resp, nil
}

// held is what an attempt holds until the body of its response is over.
type held struct {
	body
	slot    bulkhead.Permit
	limit   *retry.Limit
	release func()
	stop    func() bool
}

func (h *held) bodyOver(error) {
	if h.stop != nil {
		h.stop()
	}
	h.slot.Done()
	h.limit.End()
	if h.release != nil {
		h.release()
	}
}

// withTimeLeft returns req with the time that is left now: it waited.
func withTimeLeft(req *http.Request) *http.Request {
	if _, told := req.Header[ctxutil.HeaderRequestTimeout]; !told {
		return req
	}
	req = req.WithContext(req.Context())
	req.Header = cloneHeader(req.Header)
	tellTimeLeft(req.Context(), req.Header)
	return req
}

// tellTimeLeft renews what h says of the time that ctx has left, if it says so.
func tellTimeLeft(ctx context.Context, h http.Header) {
	left, limited := ctxutil.Remaining(ctx)
	if _, told := h[ctxutil.HeaderRequestTimeout]; told && limited {
		h[ctxutil.HeaderRequestTimeout] = []string{ctxutil.FormatTimeoutMillis(left)}
	}
}

// clockOrigin is where now counts from. Its value does not matter.
var clockOrigin = time.Now()

// now reads the monotonic clock alone, at half the price of time.Now.
func now() time.Duration { return time.Since(clockOrigin) }
