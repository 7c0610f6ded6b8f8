// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"net/http"

	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// HedgeTransport returns the transport that sends a request a second time if its
// answer does not come soon, as p says, and takes the one that comes first. The other
// is canceled, with the cause [ctxutil.ErrHedgeLost].
//
// Only a request that may be handled twice is: one that [RetryTransport] would send
// again after any failure, with a body of a known length that comes from GetBody or
// is no longer than is kept ([WithReplay]). All others are sent once. What the
// caller gets is as with RetryTransport.
//
// It panics if p is nil.
func HedgeTransport(p *hedge.Policy, opts ...PolicingOption) Transport {
	if p == nil {
		panic("httpmw: HedgeTransport: nil policy")
	}
	return newPolicing(&policies.Client{Hedge: p}, opts).transport
}

// isHedgeable reports whether req may be handled twice, even at the same time, and
// each attempt is sure to find its body.
func (c *repeats) isHedgeable(req *http.Request) bool {
	known := isEmpty(req.Body) || req.GetBody != nil || req.ContentLength > 0 && req.ContentLength <= c.buffer
	return known && c.isRepeatable(req)
}

// hedge sends req, and again if it takes long.
func (p *policing) hedge(c *policies.Client, req *http.Request) (*http.Response, error) {
	from := bodiesOf(req, c.Hedge.MaxAttempts(), p.buffer)
	defer from.over()
	end, summary, release := hedge.Open(req.Context(), c.Hedge,
		func(ctx context.Context, a retry.Attempt) (*ending, retry.Result) {
			end := p.contend(ctx, c, &from, a.Number)
			return end, end.result(true, from.again())
		},
		(*ending).drop)
	end.conclude(req, summary)
	return end.answer(nil, release)
}

// contend makes one attempt, of which others may be under way.
func (p *policing) contend(ctx context.Context, c *policies.Client, from *bodies, number int) *ending {
	req, err := from.request(ctx, number)
	if err != nil {
		return &ending{ctx: ctx, err: err, outcome: outcomeOf(ctx, nil, err), veto: retry.ReasonNotReplayable}
	}
	if number == 1 {
		req.Header = cloneHeader(req.Header) // of which the next one makes its own
	}
	end := p.attempt(c, req, nil)
	return &end
}
