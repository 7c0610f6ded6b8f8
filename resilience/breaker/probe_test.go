// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// The ways in which a probe can go missing (PAINS 13). After each, the breaker
// takes new probes and closes.
func TestNoProbeWedgesIt(t *testing.T) {
	for _, tc := range []struct {
		name string
		lose func(t *testing.T, b *breaker.Breaker)
		// until its place is back
		after time.Duration
	}{
		{"canceled", func(t *testing.T, b *breaker.Breaker) {
			lease := allow(t, b)
			lease.Done(t.Context(), canceled, 0, 0)
		}, 0},
		{"caller's deadline", func(t *testing.T, b *breaker.Breaker) {
			lease := allow(t, b)
			lease.Done(t.Context(), callerDeadline, time.Second-1, 0)
		}, 0},
		{"refused by another policy", func(t *testing.T, b *breaker.Breaker) {
			lease := allow(t, b)
			lease.Done(t.Context(), rejected, 0, 0)
		}, 0},
		{"released", func(t *testing.T, b *breaker.Breaker) {
			lease := allow(t, b)
			lease.Release()
		}, 0},
		{"panic", func(_ *testing.T, b *breaker.Breaker) {
			leave(b, func(context.Context) error { panic("boom") })
		}, 0},
		{"Goexit", func(_ *testing.T, b *breaker.Breaker) {
			leave(b, func(context.Context) error { runtime.Goexit(); return nil })
		}, 0},
		{"never reported, context canceled", func(t *testing.T, b *breaker.Breaker) {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := b.Allow(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}, 0},
		{"never reported, context's deadline", func(t *testing.T, b *breaker.Breaker) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			if _, err := b.Allow(ctx); err != nil {
				t.Fatal(err)
			}
		}, time.Second},
		{"never reported", func(t *testing.T, b *breaker.Breaker) {
			if _, err := b.Allow(context.Background()); err != nil {
				t.Fatal(err)
			}
		}, 30 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t)
				call(t, b, 4, transient)
				time.Sleep(5 * time.Second)
				tc.lose(t, b)
				tc.lose(t, b)
				if tc.after > 0 {
					time.Sleep(tc.after - 1)
					refused(t, b)
					time.Sleep(1)
				}
				wantState(t, b, halfOpen)
				call(t, b, 2, ok)
				wantState(t, b, closed)
			})
		})
	}
}

func TestPanicInDoIsNotSwallowed(t *testing.T) {
	b := newBreaker(t, breaker.WithMinCalls(1))
	defer func() {
		if r := recover(); r != "boom" {
			t.Errorf("recovered %v, want boom", r)
		}
		wantState(t, b, closed)
	}()
	_ = b.Do(t.Context(), func(context.Context) error { panic("boom") })
}

func TestOnlySoManyProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		first, second := allow(t, b), allow(t, b)
		refused(t, b)
		first.Release()
		first.Release() // no second place
		third := allow(t, b)
		refused(t, b)
		second.Done(t.Context(), ok, 0, 0)
		refused(t, b) // one succeeded and one is under way: two suffice
		third.Done(t.Context(), ok, 0, 0)
		wantState(t, b, closed)
	})
}

// The place of a probe that is late is given to another, but what it reports in
// the end counts: else a service slower than the lease would keep the breaker
// half-open for ever.
func TestLateProbeStillCounts(t *testing.T) {
	late := func(t *testing.T, end func(*breaker.Lease)) (*breaker.Breaker, breaker.Lease) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		first := allow(t, b)
		allow(t, b)
		time.Sleep(30 * time.Second)
		third := allow(t, b)
		allow(t, b)
		refused(t, b)
		end(&first)
		return b, third
	}
	done := func(outcome resilience.Outcome) func(*breaker.Lease) {
		return func(l *breaker.Lease) { l.Done(context.Background(), outcome, 30*time.Second, 0) }
	}
	t.Run("success", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, third := late(t, done(ok))
			wantState(t, b, halfOpen)
			third.Done(t.Context(), ok, 0, 0)
			wantState(t, b, closed)
		})
	})
	t.Run("failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := late(t, done(transient))
			wantState(t, b, open)
		})
	})
	for name, end := range map[string]func(*breaker.Lease){"canceled": done(canceled), "released": (*breaker.Lease).Release} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := late(t, end)
				refused(t, b) // its place is not given back twice
				wantState(t, b, halfOpen)
			})
		})
	}
}

func TestServerFaultAnswersAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		call(t, b, 1, serverFault)
		call(t, b, 1, clientFault)
		wantState(t, b, closed)
	})
}

func TestSlowProbeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithSlowCalls(time.Second, 0.5))
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		lease := allow(t, b)
		lease.Done(t.Context(), ok, 1500*time.Millisecond, 0)
		wantState(t, b, open)
		if got, want := b.Snapshot().LastTrip.Reason, "probe slow: 1.5s"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

// A context that panics is somebody's mistake, but not the end of the breaker.
func TestPanickingContextLeavesNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		for range 5 {
			func() {
				defer func() { _ = recover() }()
				_, _ = b.Allow(panicking{t.Context()})
			}()
		}
		call(t, b, 2, ok)
		for range 4 {
			func() {
				defer func() { _ = recover() }()
				lease := allow(t, b)
				lease.Done(panicking{t.Context()}, transient, 0, 0)
			}()
		}
		wantState(t, b, open)
		time.Sleep(5 * time.Second)
		call(t, b, 2, ok)
		wantState(t, b, closed)
	})
}

type panicking struct{ context.Context }

func (panicking) Done() <-chan struct{} { panic("boom") }
func (panicking) Value(any) any         { panic("boom") }
