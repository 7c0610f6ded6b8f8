// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/examples/shop/policies"
	"github.com/fairlead-go/fairlead/resilience"
)

// perTry is the time limit of an attempt to charge.
const perTry = 300 * time.Millisecond

// The tests of this file break payment in every way that it can be broken, with
// the policies that are compiled in, and look at what these do about it.

func TestPaymentDown(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=down", "")
	defer b.close()
	got := b.buy(100, 2500*time.Millisecond)

	if n := got.count(http.StatusServiceUnavailable); n != len(got) {
		t.Errorf("%d of %d were told 503, want all", n, len(got))
	}
	p := b.policies()
	if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
		t.Errorf("payment received %.2f requests for each charge, want at most 1.2", a)
	}
	if c := p.Client(app.Order, app.Payment); c.Refused["breaker"] < len(got)/2 || c.Trips == 0 {
		t.Errorf("the breaker refused %d of %d charges, want most", c.Refused["breaker"], len(got))
	}
	changes := b.changes(app.Order, app.Payment)
	if !strings.HasPrefix(states(changes), "open half-open open") {
		t.Errorf("the breaker's states: %s, want it to try again and again", states(changes))
	}
	if first := changes[0]; first.TraceID == "" || !strings.HasPrefix(first.Reason, "failure ratio") {
		t.Errorf("it opened for %q by trace %q", first.Reason, first.TraceID)
	}

	// Two hops away from it, customers know what it was, and when to come back.
	last := got[len(got)-1]
	if !errors.Is(last.err, resilience.ErrOpen) || last.header.Get("Retry-After") == "" {
		t.Errorf("a customer was told %v, Retry-After %q; want the breaker, and a time", last.err, last.header.Get("Retry-After"))
	}
	if took := got[len(got)/2:].within(0.5); took > perTry {
		t.Errorf("refusals take %v, want them to be quick", took)
	}
	trace(t, b, last, "POST /orders")
}

// trace checks that a refused order is a trace that ends before payment.
func trace(t *testing.T, b *bazaar, a answer, root string) {
	t.Helper()
	got, err := b.shop.Traces().Trace(t.Context(), a.header.Get("X-Trace-ID"))
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Render(); !strings.Contains(text, root) || strings.Contains(text, "payment  POST") {
		t.Errorf("the trace of an order that was refused:\n%s", text)
	}
}

func TestPaymentFailsNowAndThen(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=fail:0.05", "")
	defer b.close()
	got := b.buy(100, 2500*time.Millisecond)
	if share := got.share(http.StatusCreated); share < 0.98 {
		t.Errorf("%.3f of the orders were placed, want nearly all though 0.05 of the charges fail", share)
	}
	p := b.policies()
	if c := p.Client(app.Order, app.Payment); c.Saved == 0 || c.Trips > 0 {
		t.Errorf("retries saved %d, the breaker opened %d times", c.Saved, c.Trips)
	}
	if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
		t.Errorf("payment received %.2f requests for each charge, want at most 1.2", a)
	}
}

func TestPaymentSlow(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=slow:1s", "")
	defer b.close()
	got := b.buy(100, 2500*time.Millisecond)
	p := b.policies()
	c := p.Client(app.Order, app.Payment)
	if c.Trips == 0 {
		t.Error("the breaker in front of payment did not open")
	}
	// The one in front of order sees nothing but timeouts meanwhile, and may open, too.
	if n := c.Refused["breaker"] + p.Client(app.Gateway, app.Order).Refused["breaker"]; n < len(got)/2 {
		t.Errorf("breakers refused %d of %d orders, want most", n, len(got))
	}
	if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
		t.Errorf("payment received %.2f requests for each charge, want at most 1.2", a)
	}
	if took := got[len(got)/2:].within(0.5); took > perTry {
		t.Errorf("customers wait %v for an answer, want it to be quick though payment is not", took)
	}
}

// A payment service that is slow, but not too slow, fills its bulkhead and nothing
// else.
func TestBulkheadKeepsOrderAlive(t *testing.T) {
	t.Parallel()
	narrow := writePolicies(t, app.Order, "services: {payment: {retry: off, breaker: off, bulkhead: {max: 4}}}")
	b := open(t, "payment=slow:200ms", narrow)
	defer b.close()
	bought := make(chan answers, 1)
	go func() { bought <- b.buy(80, 2*time.Second) }()
	unknown := b.crowd(20, 2*time.Second, http.MethodPost, "/orders", strings.Replace(orderBody, "mug-blue", "no-such", 1))
	got := <-bought

	if c := b.policies().Client(app.Order, app.Payment); c.Refused["bulkhead"] == 0 {
		t.Errorf("the bulkhead refused nothing: %+v", c)
	}
	// 4 at a time, 200 ms each.
	if n := got.count(http.StatusCreated); n == 0 || n > 48 {
		t.Errorf("%d orders were placed in 2s, want about 40", n)
	}
	if n := unknown.count(http.StatusNotFound); n != len(unknown) {
		t.Errorf("%d of %d were told that there is no such article", n, len(unknown))
	}
}

func TestPaymentFlaps(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=flap:1500ms/1h", "")
	defer b.close()
	got := b.buy(50, 4*time.Second)
	if share := got.between(0, time.Second).share(http.StatusCreated); share > 0 {
		t.Errorf("%.2f of the orders were placed while payment failed", share)
	}
	// Well from 1.5s on; a breaker that opened just before that is closed again after
	// one open time of 1s, its jitter, and three probes.
	if share := got.between(3*time.Second, 4*time.Second).share(http.StatusCreated); share < 0.9 {
		t.Errorf("%.2f of the orders were placed after payment was well again, want all", share)
	}
	b.policies()
	changes := states(b.changes(app.Order, app.Payment))
	if !strings.HasPrefix(changes, "open half-open") || !strings.HasSuffix(changes, "half-open closed") {
		t.Errorf("the breaker's states: %s, want it closed in the end", changes)
	}
}

func TestPaymentAsksForPatience(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=retry-after:3s", "")
	defer b.close()
	got := b.buy(100, time.Second)
	p := b.policies()
	c := p.Client(app.Order, app.Payment)
	if c.Retries != 0 || c.GivenUp["deadline too near"] == 0 {
		t.Errorf("%d retries, given up %v; want none, because the time asked for is past every deadline", c.Retries, c.GivenUp)
	}
	changes := b.changes(app.Order, app.Payment)
	if len(changes) != 1 || changes[0].To != "open" {
		t.Fatalf("the breaker's states: %s, want it to stay open", states(changes))
	}
	// The default open time is 1s, and payment asks for up to 3s.
	if d := changes[0].OpenFor; d < 1500*time.Millisecond || d > 3300*time.Millisecond {
		t.Errorf("it opened for %v, want it to obey payment", d)
	}
	if n := p.Server(app.Payment).Received; n > len(got)/2 {
		t.Errorf("payment received %d requests of %d while it asked to be left alone", n, len(got))
	}
	for waited := time.Duration(0); b.buy(50, 20*time.Millisecond).count(http.StatusCreated) == 0; waited += 20 * time.Millisecond {
		if waited > 5*time.Second {
			t.Fatal("no order was placed when payment was back")
		}
	}
}

const capacity, offered = 40, 120

// goodput returns how many orders are placed a second when three times as many are
// offered as payment can charge.
func goodput(t *testing.T, policies string) (perSecond float64, did report.Policies) {
	t.Helper()
	const d = 4 * time.Second
	b := open(t, "payment=overload:40", policies)
	defer b.close()
	got := b.buy(offered, d)
	perSecond = float64(got.between(time.Second, d).count(http.StatusCreated)) / (d - time.Second).Seconds()
	t.Logf("%.1f orders a second, of %d offered and %d possible", perSecond, offered, capacity)
	return perSecond, b.policies()
}

// What payment cannot do it refuses, and does the rest in time.
func TestPaymentOverloaded(t *testing.T) {
	t.Parallel()
	got, p := goodput(t, "")
	if got < 0.6*capacity { // more than 0.9 of it on a machine that has nothing else to do
		t.Errorf("%.1f orders a second, want nearly %d", got, capacity)
	}
	if s := p.Server(app.Payment); s.Refused["rate_limit"]+s.Refused["concurrency"] == 0 {
		t.Errorf("payment refused nothing: %+v", s)
	}
	if c := p.Client(app.Order, app.Payment); c.Trips > 0 {
		t.Error("the breaker took refusals for an illness")
	}
	if a := p.Amplification(app.Order, app.Payment); a > 1.2 {
		t.Errorf("payment received %.2f requests for each charge, want at most 1.2", a)
	}
}

// Without policies payment tries to do everything, and does nothing in time.
func TestPaymentCollapses(t *testing.T) {
	t.Parallel()
	if got, _ := goodput(t, policies.Off); got > 0.3*capacity {
		t.Errorf("%.1f orders a second without policies: TestPaymentOverloaded proves nothing", got)
	}
}

// Without limits of its own an overloaded payment service answers too late, and the
// breaker in front of it opens.
func TestBreakerStopsOverload(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=overload:40", writePolicies(t, app.Payment, "server: {rate_limit: off, concurrency: off}"))
	defer b.close()
	b.buy(offered, 2500*time.Millisecond)
	if c := b.policies().Client(app.Order, app.Payment); c.Trips == 0 {
		t.Errorf("the breaker did not open: %+v", c)
	}
}

// A charge whose answer is lost is asked for again, and made once.
func TestPaymentLosesAnswers(t *testing.T) {
	t.Parallel()
	b := open(t, "payment=lose:0.1", "")
	got := b.buy(100, 2*time.Second)
	p := b.policies()
	if c := p.Client(app.Order, app.Payment); c.Saved == 0 {
		t.Errorf("no retry succeeded: %+v", c)
	}
	if share := got.share(http.StatusCreated); share < 0.93 {
		t.Errorf("%.2f of the orders were placed, want nearly all though 0.1 of the answers are lost", share)
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
	if len(charges) != len(got) {
		t.Errorf("%d orders were charged, want each of %d", len(charges), len(got))
	}
	if n := run.Logs().With("already charged").Len(); n < p.Client(app.Order, app.Payment).Saved {
		t.Errorf("payment knew %d charges again, want at least those that retries saved", n)
	}
	if n := run.Logs().With("receipt mailed").Len(); n != len(charges) {
		t.Errorf("%d receipts for %d charges", n, len(charges))
	}
}

// A tail of latencies is cut off where asking twice does no harm.
func TestHedgedReads(t *testing.T) {
	t.Parallel()
	b := open(t, "inventory=slow:250ms/0.05", "")
	defer b.close()
	got := b.look(100, 2500*time.Millisecond)
	c := b.policies().Client(app.Gateway, app.Inventory)
	if c.Hedges == 0 || c.Saved == 0 {
		t.Errorf("%d hedges, of which %d were faster", c.Hedges, c.Saved)
	}
	if took := got.within(0.97); took > 240*time.Millisecond {
		t.Errorf("97%% of the looks took up to %v, want the tail of 250ms cut off", took)
	}
	if c.Sent > len(got)*115/100 {
		t.Errorf("%d looks made %d calls, want 10%% more at most", len(got), c.Sent)
	}
}

// When the gateway has too much to do, those who only look are refused first.
func TestGatewaySheds(t *testing.T) {
	t.Parallel()
	narrow := writePolicies(t, app.Gateway, "server: {shed: {initial_limit: 8, min_limit: 8, max_limit: 8, cpu: off}}")
	b := open(t, "inventory=slow:100ms", narrow)
	defer b.close()
	looked := make(chan answers, 1)
	go func() { looked <- b.look(200, 2*time.Second) }()
	bought := b.buy(20, 2*time.Second)
	looks := <-looked

	if n := b.policies().Server(app.Gateway).Refused["shed"]; n == 0 {
		t.Error("nothing was shed")
	}
	if n := looks.count(http.StatusServiceUnavailable); n == 0 {
		t.Error("none of those who only looked were refused")
	}
	if share := bought.share(http.StatusCreated); share < 1 {
		t.Errorf("%.2f of those who bought were served, want all", share)
	}
	for _, one := range looks {
		if one.status == http.StatusServiceUnavailable && (!errors.Is(one.err, resilience.ErrOverloaded) || one.header.Get("Retry-After") == "") {
			t.Fatalf("told %v, Retry-After %q", one.err, one.header.Get("Retry-After"))
		}
	}
}
