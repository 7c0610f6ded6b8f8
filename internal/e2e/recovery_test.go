// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// illness is one way in which the last service of a chain does not work.
type illness struct {
	name  string
	begin func(*patient)
	// told is how long those who call it are told to stay away; 0 if they are not.
	told time.Duration
	// hangs says that it does not answer.
	hangs bool
}

var (
	fails     = illness{name: "fails", begin: func(p *patient) { p.fail(0) }}
	backSoon  = illness{name: "back in 2s", begin: func(p *patient) { p.fail(2 * time.Second) }, told: 2 * time.Second}
	backLater = illness{name: "back in 8s", begin: func(p *patient) { p.fail(8 * time.Second) }, told: 8 * time.Second}
	hangs     = illness{name: "hangs", begin: (*patient).hang, hangs: true}
)

// healing is a load on a chain whose last service is well, then ill, then well again.
type healing struct {
	illness
	load           load
	well, ill      time.Duration
	open, minRetry time.Duration // of the breakers
	slot           time.Duration // in which goodput is measured
}

// most is how long after the service is well goodput is back at the latest. Its
// breaker may just have opened: that is one open period with all of its jitter. Who
// is refused by it is told how long that will be, and adds jitter of its own to that,
// at each of the two hops before. Who comes back a moment too early is sent away for
// the shortest time that it obeys, at each of the two. A call that was sent to a
// service that hangs is waited for. All this is seen in whole slots.
func (h healing) most() time.Duration {
	const jitter = 1 + breaker.DefaultJitter
	d := time.Duration(jitter*jitter*jitter*float64(max(h.open, h.told)) + 2*jitter*float64(h.minRetry))
	if h.hangs {
		d += h.load.patience
	}
	return d.Truncate(h.slot) + h.slot
}

// take lets an illness take its course. All has to be well again in time, at every
// hop.
func (h healing) take(ctx context.Context, c *chain) *verdict {
	v, start := &verdict{}, time.Now()
	defer time.AfterFunc(h.well, func() { h.begin(&c.last) }).Stop()
	defer time.AfterFunc(h.well+h.ill, c.last.heal).Stop()
	all := h.load.run(ctx, h.well+h.ill+h.most()+time.Second, c.call())
	back := all.recovered(h.well+h.ill, h.slot)
	v.logf("back after %v, at most %v%s", back, h.most(), c.story(start))
	if before := all.between(0, h.well/2); before.share() != 1 {
		v.faultf("%d of %d requests served before", before.served(), len(before))
	}
	if back < 0 || back > h.most() {
		v.faultf("goodput is back %v after the service, want at most %v", back, h.most())
	}
	for _, to := range c.clients {
		if s := to.policies.Breaker().State(); s != resilience.StateClosed {
			v.faultf("%s is %v in the end", to.name, s)
		}
	}
	h.judgeNearest(v, c.clients[len(c.clients)-1])
	return v
}

// judgeNearest says whether the breaker before the service that is ill opened, and
// for as long as it was told.
func (h healing) judgeNearest(v *verdict, to *client) {
	least, trips := h.open, 0
	if h.told > 0 {
		least = h.told
	}
	most := time.Duration((1 + breaker.DefaultJitter) * float64(least))
	for _, e := range to.history() {
		if e.To != resilience.StateOpen {
			continue
		}
		if trips++; e.OpenFor < least || e.OpenFor > most {
			v.faultf("%s opened for %v, want %v to %v", to.name, e.OpenFor, least, most)
		}
	}
	if trips == 0 {
		v.faultf("%s never opened", to.name)
	}
}

// story returns what the breakers did since start.
func (c *chain) story(start time.Time) string {
	text := ""
	for _, to := range c.clients {
		text += "\n\t" + to.name + ":"
		for _, e := range to.history() {
			text += fmt.Sprintf(" %v %v", e.at.Sub(start).Round(time.Millisecond), e.To)
			if e.To == resilience.StateOpen {
				text += fmt.Sprintf(" for %v", e.OpenFor.Round(time.Millisecond))
			}
			text += ";"
		}
	}
	return text
}

// TestRecovery heals the last of three services at different moments of its breaker's
// open time, with all policies as they are by default, in virtual time.
func TestRecovery(t *testing.T) {
	for _, c := range chains {
		for _, i := range []illness{fails, backSoon, backLater, hangs} {
			for _, ill := range []time.Duration{4 * time.Second, 7 * time.Second} {
				t.Run(fmt.Sprintf("%s/%s/%v", c.name, i.name, ill), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						chain := newChain(t, inMemory, c.way, chainOption{})
						chain.last.work = 20 * time.Millisecond
						healing{
							illness: i, load: load{perSecond: 40, patience: 1500 * time.Millisecond},
							well: 2 * time.Second, ill: ill,
							open: breaker.DefaultOpenTime, minRetry: breaker.DefaultMinRetryAfter, slot: 100 * time.Millisecond,
						}.take(t.Context(), chain).tell(t)
					})
				})
			}
		}
	}
}

// TestRecoveryOfSeveralCallers: those who share a service do not have to be lucky. It
// lets no more probes through than one of them sends, and refuses the others' when it
// has recovered; that does not keep them away.
func TestRecoveryOfSeveralCallers(t *testing.T) {
	for _, c := range chains {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				chain := newChain(t, inMemory, c.way, chainOption{callers: 3})
				chain.last.work = 20 * time.Millisecond
				healing{
					illness: fails, load: load{perSecond: 60, patience: 1500 * time.Millisecond},
					well: 2 * time.Second, ill: 5 * time.Second,
					open: breaker.DefaultOpenTime, minRetry: breaker.DefaultMinRetryAfter, slot: 100 * time.Millisecond,
				}.take(t.Context(), chain).tell(t)
			})
		})
	}
}

// TestRecoveryOverLoopback is the same on the real network, with breakers that have
// less time.
func TestRecoveryOverLoopback(t *testing.T) {
	const open, minRetry = time.Second, 200 * time.Millisecond
	quick := chainOption{each: []policies.ClientOption{policies.Breaker(
		breaker.WithOpenTime(open), breaker.WithRetryAfterBounds(minRetry, breaker.DefaultMaxRetryAfter), breaker.WithPatience(300*time.Millisecond))}}
	var trials []trial
	for _, c := range chains {
		for _, i := range []illness{fails, backSoon, hangs} {
			trials = append(trials, trial{c.name + "/" + i.name, func(t *testing.T) func() *verdict {
				chain := newChain(t, onLoopback, c.way, quick)
				h := healing{
					illness: i, load: load{perSecond: 50, patience: 600 * time.Millisecond},
					well: 500 * time.Millisecond, ill: 1500 * time.Millisecond,
					open: open, minRetry: minRetry, slot: 500 * time.Millisecond,
				}
				return func() *verdict { return h.take(t.Context(), chain) }
			}})
		}
	}
	together(t, trials)
}

// TestServiceThatHangsHoldsFewCalls: until the breakers open, callers' deadlines bound
// what waits for it, and from then on there are but probes.
func TestServiceThatHangsHoldsFewCalls(t *testing.T) {
	for _, c := range chains {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := load{perSecond: 40, patience: 1500 * time.Millisecond}
				chain := newChain(t, inMemory, c.way, chainOption{})
				l.run(t.Context(), time.Second, chain.call())
				idle := runtime.NumGoroutine()
				chain.last.hang()
				var first, second offered
				most := goroutines(func() { first = l.run(t.Context(), 4*time.Second, chain.call()) })
				time.Sleep(httpmw.DefaultServerIdleTimeout) // connections that were needed then are closed
				later := goroutines(func() { second = l.run(t.Context(), 10*time.Second, chain.call()) })
				slow := second.quantile(0.9, func(answered) bool { return true })
				t.Logf("goroutines: %d idle, %d until the breakers opened, %d then; calls took %v at most, then %v for nine of ten; the service got %d of %d calls",
					idle, most, later, first.quantile(1, func(answered) bool { return true }), slow, chain.calls[len(chain.calls)-1].Load(), len(first)+len(second))
				waiting := int(l.perSecond * l.patience.Seconds())
				if most > idle+15*waiting || later > idle+15*3*breaker.DefaultProbes {
					t.Errorf("%d goroutines, and %d with open breakers; there are %d for nothing, and %d requests at once", most, later, idle, waiting)
				}
				if slow > 10*time.Millisecond {
					t.Errorf("with open breakers requests take %v", slow)
				}
			})
		})
	}
}
