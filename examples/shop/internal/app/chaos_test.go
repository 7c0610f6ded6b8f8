// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/examples/shop/policies"
	"github.com/fairlead-go/fairlead/resilience"
)

// The tests of this file break payment in every way that it can be broken, with
// the policies that are compiled in, and look at what these do about it. What they
// ask for leaves room for a machine that has much else to do.

// quick is less time than those have who wait for payment.
const quick = gateway.OrderTimeout / 2

func TestPaymentDown(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=down", "")
		defer b.close()
		got := b.buy(60, 2*time.Second)

		if placed, share := got.count(http.StatusCreated), got.share(http.StatusServiceUnavailable); placed > 0 || share < 0.8 {
			v.errorf("%d orders were placed, %.2f of all were told 503; want none, and nearly all", placed, share)
		}
		p := b.policies()
		if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
			v.errorf("payment received %.2f requests for each charge, want at most 1.2", a)
		}
		if c := p.Client(app.Order, app.Payment); c.Refused["breaker"] < len(got)/2 || c.Trips == 0 {
			v.errorf("the breaker refused %d of %d charges, want most", c.Refused["breaker"], len(got))
		}
		changes := b.changes(app.Order, app.Payment)
		if !strings.HasPrefix(states(changes), "open half-open open") {
			v.errorf("the breaker's states: %s, want it to try again and again", states(changes))
			return
		}
		if first := changes[0]; first.TraceID == "" || !strings.HasPrefix(first.Reason, "failure ratio") {
			v.errorf("it opened for %q by trace %q", first.Reason, first.TraceID)
		}

		// Two hops away from it, customers know what it was, and when to come back.
		refused := slices.IndexFunc(got, func(a answer) bool {
			return errors.Is(a.err, resilience.ErrOpen) && a.header.Get("Retry-After") != ""
		})
		if refused < 0 {
			v.errorf("no customer was told of the breaker, and of a time: the last one %v", got[len(got)-1].err)
			return
		}
		if took := got[len(got)/2:].within(0.5); took > quick {
			v.errorf("refusals take %v, want them to be quick", took)
		}
		trace(v, b, got[refused], "POST /orders")
	})
}

// trace checks that a refused order is a trace that ends before payment.
func trace(v *verdict, b *bazaar, a answer, root string) {
	got, err := b.shop.Traces().Trace(b.t.Context(), a.header.Get("X-Trace-ID"))
	if err != nil {
		v.errorf("%v", err)
		return
	}
	if text := got.Render(); !strings.Contains(text, root) || strings.Contains(text, "payment  POST") {
		v.errorf("the trace of an order that was refused:\n%s", text)
	}
}

func TestPaymentFailsNowAndThen(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=fail:0.05", "")
		defer b.close()
		got := b.buy(60, 2*time.Second)
		if share := got.share(http.StatusCreated); share < 0.97 {
			v.errorf("%.3f of the orders were placed, want nearly all though 0.05 of the charges fail", share)
		}
		p := b.policies()
		if c := p.Client(app.Order, app.Payment); c.Saved == 0 || c.Trips > 0 {
			v.errorf("retries saved %d, the breaker opened %d times", c.Saved, c.Trips)
		}
		if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
			v.errorf("payment received %.2f requests for each charge, want at most 1.2", a)
		}
	})
}

func TestPaymentSlow(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=slow:1s", "")
		defer b.close()
		got := b.buy(60, 2*time.Second)
		p := b.policies()
		c := p.Client(app.Order, app.Payment)
		if c.Trips == 0 {
			v.errorf("the breaker in front of payment did not open")
		}
		// The one in front of order sees nothing but timeouts meanwhile, and may open, too.
		if n := c.Refused["breaker"] + p.Client(app.Gateway, app.Order).Refused["breaker"]; n < len(got)/2 {
			v.errorf("breakers refused %d of %d orders, want most", n, len(got))
		}
		if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
			v.errorf("payment received %.2f requests for each charge, want at most 1.2", a)
		}
		if took := got[len(got)/2:].within(0.5); took > quick {
			v.errorf("customers wait %v for an answer, want it to be quick though payment is not", took)
		}
	})
}

// A payment service that is slow, but not too slow, fills its bulkhead and nothing
// else.
func TestBulkheadKeepsOrderAlive(t *testing.T) {
	patiently(t, func(v *verdict) {
		narrow := writePolicies(t, app.Order, "services: {payment: {retry: off, breaker: off, bulkhead: {max: 4}}}")
		b := open(t, v, "payment=slow:200ms", narrow)
		defer b.close()
		bought := make(chan answers, 1)
		go func() { bought <- b.buy(60, 1500*time.Millisecond) }()
		unknown := b.crowd(20, 1500*time.Millisecond, http.MethodPost, "/orders", strings.Replace(orderBody, "mug-blue", "no-such", 1))
		got := <-bought

		if c := b.policies().Client(app.Order, app.Payment); c.Refused["bulkhead"] == 0 {
			v.errorf("the bulkhead refused nothing: %+v", c)
		}
		// 4 at a time, 200 ms each.
		if n := got.count(http.StatusCreated); n == 0 || n > 36 {
			v.errorf("%d orders were placed in 1.5s, want about 30", n)
		}
		if n := unknown.count(http.StatusNotFound); n != len(unknown) {
			v.errorf("%d of %d were told that there is no such article", n, len(unknown))
		}
	})
}

func TestPaymentFlaps(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=flap:1s/1h", "")
		defer b.close()
		got := b.buy(50, 3500*time.Millisecond)
		if share := got.between(0, 500*time.Millisecond).share(http.StatusCreated); share > 0 {
			v.errorf("%.2f of the orders were placed while payment failed", share)
		}
		// Well from 1s on; a breaker that opened just before that is closed again after one
		// open time of 1s, its jitter, and three probes.
		if share := got.between(2500*time.Millisecond, 3500*time.Millisecond).share(http.StatusCreated); share < 0.9 {
			v.errorf("%.2f of the orders were placed after payment was well again, want all", share)
		}
		b.policies()
		changes := states(b.changes(app.Order, app.Payment))
		if !strings.HasPrefix(changes, "open half-open") || !strings.HasSuffix(changes, "half-open closed") {
			v.errorf("the breaker's states: %s, want it closed in the end", changes)
		}
	})
}

func TestPaymentAsksForPatience(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=retry-after:2500ms", "")
		defer b.close()
		got := b.buy(60, time.Second)
		p := b.policies()
		c := p.Client(app.Order, app.Payment)
		if c.Retries != 0 || c.GivenUp["deadline too near"] == 0 {
			v.errorf("%d retries, given up %v; want none, because the time asked for is past every deadline", c.Retries, c.GivenUp)
		}
		changes := b.changes(app.Order, app.Payment)
		if len(changes) != 1 || changes[0].To != "open" {
			v.errorf("the breaker's states: %s, want it to stay open", states(changes))
			return
		}
		// The default open time is 1s, and payment asks for up to 3s: Retry-After
		// knows no halves.
		if d := changes[0].OpenFor; d < 1500*time.Millisecond || d > 3300*time.Millisecond {
			v.errorf("it opened for %v, want it to obey payment", d)
		}
		if n := p.Server(app.Payment).Received; n > len(got)/2 {
			v.errorf("payment received %d requests of %d while it asked to be left alone", n, len(got))
		}
		for start := time.Now(); b.buy(10, 200*time.Millisecond).count(http.StatusCreated) == 0; {
			if time.Since(start) > 6*time.Second {
				v.errorf("no order was placed when payment was back")
				return
			}
		}
	})
}

const capacity, offered = 40, 120

// goodput returns how many orders are placed a second when three times as many are
// offered as payment can charge.
func goodput(t *testing.T, v *verdict, policies string) (perSecond float64, did report.Policies) {
	t.Helper()
	const d = 3 * time.Second
	b := open(t, v, "payment=overload:40", policies)
	defer b.close()
	got := b.buy(offered, d)
	perSecond = float64(got.between(time.Second, d).count(http.StatusCreated)) / (d - time.Second).Seconds()
	t.Logf("%.1f orders a second, of %d offered and %d possible", perSecond, offered, capacity)
	return perSecond, b.policies()
}

// What payment cannot do it refuses, and does the rest in time.
func TestPaymentOverloaded(t *testing.T) {
	patiently(t, func(v *verdict) {
		got, p := goodput(t, v, "")
		if got < 0.4*capacity { // more than 0.9 of it on a machine that has nothing else to do
			v.errorf("%.1f orders a second, want nearly %d", got, capacity)
		}
		if s := p.Server(app.Payment); s.Refused["rate_limit"]+s.Refused["concurrency"] == 0 {
			v.errorf("payment refused nothing: %+v", s)
		}
		if c := p.Client(app.Order, app.Payment); c.Trips > 0 {
			v.errorf("the breaker took refusals for an illness")
		}
		if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
			v.errorf("payment received %.2f requests for each charge, want at most 1.2", a)
		}
	})
}

// Without policies payment tries to do everything, and does nothing in time.
func TestPaymentCollapses(t *testing.T) {
	patiently(t, func(v *verdict) {
		if got, _ := goodput(t, v, policies.Off); got > 0.2*capacity {
			v.errorf("%.1f orders a second without policies: TestPaymentOverloaded proves nothing", got)
		}
	})
}

// Without limits of its own an overloaded payment service answers too late, and the
// breaker in front of it opens.
func TestBreakerStopsOverload(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=overload:40", writePolicies(t, app.Payment, "server: {rate_limit: off, concurrency: off}"))
		defer b.close()
		b.buy(offered, 2*time.Second)
		if c := b.policies().Client(app.Order, app.Payment); c.Trips == 0 {
			v.errorf("the breaker did not open: %+v", c)
		}
	})
}

// A charge whose answer is lost is asked for again, and made once.
func TestPaymentLosesAnswers(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "payment=lose:0.05", "")
		got := b.buy(80, 2*time.Second)
		p := b.policies()
		if c := p.Client(app.Order, app.Payment); c.Saved == 0 {
			v.errorf("no retry succeeded: %+v", c)
		}
		if share := got.share(http.StatusCreated); share < 0.9 {
			v.errorf("%.2f of the orders were placed, want nearly all though 0.05 of the answers are lost", share)
		}
		run := b.close()

		charges := map[any]int{}
		for _, line := range run.Logs().With("charged").All() {
			order, _ := line.Attr("order_id")
			charges[order]++
		}
		for order, n := range charges {
			if n != 1 {
				t.Errorf("order %v was charged %d times", order, n)
			}
		}
		if placed := got.count(http.StatusCreated); len(charges) < placed {
			v.errorf("%d orders were charged, want each of the %d that were placed", len(charges), placed)
		}
		if run.Logs().With("already charged").Len() == 0 {
			v.errorf("payment was asked for no charge again")
		}
		if n := run.Logs().With("receipt mailed").Len(); n != len(charges) {
			t.Errorf("%d receipts for %d charges", n, len(charges))
		}
	})
}

// A tail of latencies is cut off where asking twice does no harm.
func TestHedgedReads(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "inventory=slow:1s/0.1", "")
		defer b.close()
		got := b.look(80, 2*time.Second)
		c := b.policies().Client(app.Gateway, app.Inventory)
		if c.Hedges == 0 || c.Saved == 0 {
			v.errorf("%d hedges, of which %d were faster", c.Hedges, c.Saved)
		}
		if c.Sent > len(got)*115/100 {
			v.errorf("%d looks made %d calls, want 10%% more at most", len(got), c.Sent)
		}
	})
}

// An article has a page though nobody knows how many of it there are.
func TestStockUnknown(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "inventory=down", "")
		got := b.look(60, time.Second)
		if degraded := got.degraded(); got.share(http.StatusOK) < 1 || degraded != len(got) {
			v.errorf("%d of %d were served, %d of them without the number", got.count(http.StatusOK), len(got), degraded)
		}
		unknown := b.crowd(10, 100*time.Millisecond, http.MethodGet, "/articles/no-such", "")
		if unknown.share(http.StatusOK) < 1 { // nobody knows that either
			v.errorf("an article that there is not: %d", unknown[0].status)
		}
		if c := b.policies().Client(app.Gateway, app.Inventory); c.Trips == 0 {
			v.errorf("the breaker took degraded replies for success: %+v", c)
		}
		news, err := b.shop.News().News(t.Context())
		if n := news.FellBack["gateway: stock unknown"]; err != nil || n != len(got)+len(unknown) {
			v.errorf("%d degraded replies were told of, want %d (%v)", n, len(got)+len(unknown), err)
		}
		run := b.close()
		for _, trace := range run.Traces().With("GET /articles/{sku}").All() {
			if why, _ := trace.Span("GET /articles/{sku}").Attr("fairlead.degraded"); why.AsString() != "stock unknown" {
				t.Errorf("the gateway's span is degraded by %q", why.AsString())
			}
		}
	})
}

// When the gateway has too much to do, those who only look are refused first.
func TestGatewaySheds(t *testing.T) {
	patiently(t, func(v *verdict) {
		narrow := writePolicies(t, app.Gateway, "server: {shed: {initial_limit: 8, min_limit: 8, max_limit: 8, cpu: off}}")
		b := open(t, v, "inventory=slow:100ms", narrow)
		defer b.close()
		looked := make(chan answers, 1)
		go func() { looked <- b.look(150, 1500*time.Millisecond) }()
		bought := b.buy(15, 1500*time.Millisecond)
		looks := <-looked

		if n := b.policies().Server(app.Gateway).Refused["shed"]; n == 0 {
			v.errorf("nothing was shed")
		}
		lookers, buyers := looks.share(http.StatusServiceUnavailable), bought.share(http.StatusServiceUnavailable)
		if lookers < 0.4 || buyers > 0.2 {
			v.errorf("%.2f of those who looked were refused, and %.2f of those who bought; want many, and nearly none", lookers, buyers)
		}
		for _, one := range looks {
			if one.status == http.StatusServiceUnavailable && (!errors.Is(one.err, resilience.ErrOverloaded) || one.header.Get("Retry-After") == "") {
				v.errorf("told %v, Retry-After %q", one.err, one.header.Get("Retry-After"))
				return
			}
		}
	})
}

// A reservation that takes too long is sent again, because it is made once.
func TestSlowReservations(t *testing.T) {
	patiently(t, func(v *verdict) {
		b := open(t, v, "inventory=slow:2s/0.05", "")
		defer b.close()
		got := b.buy(60, 2*time.Second)
		c := b.policies().Client(app.Order, app.Inventory)
		if share := got.share(http.StatusCreated); c.Saved == 0 || share < 0.97 {
			v.errorf("retries saved %d, %.2f of the orders were placed; want nearly all though 0.05 of the reservations hang", c.Saved, share)
		}
	})
}
