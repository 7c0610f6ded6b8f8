// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// REQ-R2: who is sent when, whose answer is taken, and what the others and the
// observer are told. The delay is 100 ms.
func TestDo(t *testing.T) {
	const (
		transient = resilience.OutcomeTransient
		overload  = resilience.OutcomeOverload
		client    = resilience.OutcomeClientFault
		server    = resilience.OutcomeServerFault
		lost      = resilience.OutcomeCanceled
	)
	options := func(o ...hedge.Option) []hedge.Option { return o }
	type told struct {
		Number  int
		Outcome resilience.Outcome
		Again   bool
		Reason  string
	}
	for _, tc := range []struct {
		name      string
		opts      []hedge.Option
		previous  int
		steps     []step
		at        []time.Duration // when each attempt was sent
		took      time.Duration
		value     int // the number of the attempt that was taken
		outcome   resilience.Outcome
		reason    string
		wrapped   bool
		canceled  []int
		discarded []int
		told      []told
	}{
		{
			name: "soon enough", steps: []step{answers(99 * ms)},
			at: []time.Duration{0}, took: 99 * ms, value: 1,
			told: []told{{1, 0, false, ""}},
		}, {
			name: "the second is faster", steps: []step{answers(time.Second), answers(20 * ms)},
			at: []time.Duration{0, 100 * ms}, took: 120 * ms, value: 2,
			canceled: []int{1}, discarded: []int{1},
			told: []told{{2, 0, false, ""}, {1, lost, false, hedge.ReasonLost}},
		}, {
			name: "the first is faster after all", steps: []step{answers(110 * ms), answers(20 * ms)},
			at: []time.Duration{0, 100 * ms}, took: 110 * ms, value: 1,
			canceled: []int{2}, discarded: []int{2},
			told: []told{{1, 0, false, ""}, {2, lost, false, hedge.ReasonLost}},
		}, {
			name: "no more than two", steps: []step{answers(time.Second), answers(2 * time.Second)},
			at: []time.Duration{0, 100 * ms}, took: time.Second, value: 1,
			canceled: []int{2}, discarded: []int{2},
			told: []told{{1, 0, false, ""}, {2, lost, false, hedge.ReasonLost}},
		}, {
			name: "three, if told", opts: options(hedge.WithMaxAttempts(3)), steps: []step{answers(time.Second), answers(time.Second), answers(20 * ms)},
			at: []time.Duration{0, 100 * ms, 200 * ms}, took: 220 * ms, value: 3,
			canceled: []int{1, 2}, discarded: []int{1, 2},
			told: []told{{3, 0, false, ""}, {1, lost, false, hedge.ReasonLost}, {2, lost, false, hedge.ReasonLost}},
		}, {
			name: "one is no hedge", opts: options(hedge.WithMaxAttempts(1)), steps: []step{answers(time.Second)},
			at: []time.Duration{0}, took: time.Second, value: 1,
			told: []told{{1, 0, false, ""}},
		}, {
			name: "the first fails before the delay: the second is sent at once", steps: []step{fails(10*ms, transient), answers(20 * ms)},
			at: []time.Duration{0, 10 * ms}, took: 30 * ms, value: 2,
			discarded: []int{1},
			told:      []told{{1, transient, true, ""}, {2, 0, false, ""}},
		}, {
			name: "the third is a delay behind one that was sent at once", opts: options(hedge.WithMaxAttempts(3)),
			steps: []step{fails(10*ms, transient), answers(time.Second), answers(time.Second)},
			at:    []time.Duration{0, 10 * ms, 110 * ms}, took: 1010 * ms, value: 2,
			canceled: []int{3}, discarded: []int{1, 3},
			told: []told{{1, transient, true, ""}, {2, 0, false, ""}, {3, lost, false, hedge.ReasonLost}},
		}, {
			name: "the first fails and the second goes on", steps: []step{fails(110*ms, transient), answers(50 * ms)},
			at: []time.Duration{0, 100 * ms}, took: 150 * ms, value: 2,
			discarded: []int{1},
			told:      []told{{1, transient, false, retry.ReasonExhausted}, {2, 0, false, ""}},
		}, {
			name: "both fail", steps: []step{fails(110*ms, transient), fails(50*ms, transient)},
			at: []time.Duration{0, 100 * ms}, took: 150 * ms, value: 2,
			outcome: transient, reason: retry.ReasonExhausted, wrapped: true, discarded: []int{1},
			told: []told{{1, transient, false, retry.ReasonExhausted}, {2, transient, false, retry.ReasonExhausted}},
		}, {
			name: "a client's fault is an answer", steps: []step{answers(time.Second), fails(10*ms, client)},
			at: []time.Duration{0, 100 * ms}, took: 110 * ms, value: 2,
			outcome: client, reason: retry.ReasonNotRetryable, wrapped: true, canceled: []int{1}, discarded: []int{1},
			told: []told{{2, client, false, retry.ReasonNotRetryable}, {1, lost, false, hedge.ReasonLost}},
		}, {
			name: "a client's fault at once", steps: []step{fails(10*ms, client)},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: client, reason: retry.ReasonNotRetryable,
			told: []told{{1, client, false, retry.ReasonNotRetryable}},
		}, {
			name: "told what is not fatal", opts: options(hedge.WithNonFatal(resilience.OutcomeServerFault)), steps: []step{fails(10*ms, resilience.OutcomeServerFault), fails(10*ms, transient)},
			at: []time.Duration{0, 10 * ms}, took: 20 * ms, value: 2,
			outcome: transient, reason: retry.ReasonNotRetryable, wrapped: true, discarded: []int{1},
			told: []told{{1, resilience.OutcomeServerFault, true, ""}, {2, transient, false, retry.ReasonNotRetryable}},
		}, {
			name: "a server's fault, of which the adapter knows more", steps: []step{{10 * ms, worth(server)}, answers(20 * ms)},
			at: []time.Duration{0, 10 * ms}, took: 30 * ms, value: 2,
			discarded: []int{1},
			told:      []told{{1, server, true, ""}, {2, 0, false, ""}},
		}, {
			name: "a server's fault is an answer otherwise", steps: []step{fails(10*ms, server)},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: server, reason: retry.ReasonNotRetryable,
			told: []told{{1, server, false, retry.ReasonNotRetryable}},
		}, {
			name: "the user knows better than the adapter", opts: options(hedge.WithNonFatal(transient)), steps: []step{{10 * ms, worth(server)}},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: server, reason: retry.ReasonNotRetryable,
			told: []told{{1, server, false, retry.ReasonNotRetryable}},
		}, {
			name: "what no attempt changes is not worth one", steps: []step{{10 * ms, worth(client)}},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: client, reason: retry.ReasonNotRetryable,
			told: []told{{1, client, false, retry.ReasonNotRetryable}},
		}, {
			name: "an overloaded server is sent no more", opts: options(hedge.WithMaxAttempts(3)), steps: []step{fails(110*ms, overload), answers(time.Second)},
			at: []time.Duration{0, 100 * ms}, took: 1100 * ms, value: 2,
			discarded: []int{1},
			told:      []told{{1, overload, false, hedge.ReasonOverloaded}, {2, 0, false, ""}},
		}, {
			name: "an overloaded server from the start", steps: []step{fails(10*ms, overload)},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: overload, reason: hedge.ReasonOverloaded, wrapped: true,
			told: []told{{1, overload, false, hedge.ReasonOverloaded}},
		}, {
			name: "the server says no", steps: []step{{10 * ms, retry.Result{Outcome: transient, Err: errDown, Pushback: retry.PushbackStop()}}},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: transient, reason: retry.ReasonPushback, wrapped: true,
			told: []told{{1, transient, false, retry.ReasonPushback}},
		}, {
			name: "the server says later", steps: []step{{10 * ms, retry.Result{Outcome: transient, Err: errDown, Pushback: retry.PushbackAfter(time.Second)}}},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: transient, reason: retry.ReasonPushback, wrapped: true,
			told: []told{{1, transient, false, retry.ReasonPushback}},
		}, {
			name: "the request is gone", steps: []step{{10 * ms, retry.Result{Outcome: transient, Err: errDown, Veto: retry.ReasonNotReplayable}}},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: transient, reason: retry.ReasonNotReplayable, wrapped: true,
			told: []told{{1, transient, false, retry.ReasonNotReplayable}},
		}, {
			name: "no budget for it", opts: options(hedge.WithBudget(mustBudget(t, retry.WithFloor(0)))), steps: []step{answers(time.Second)},
			at: []time.Duration{0}, took: time.Second, value: 1,
			told: []told{{1, 0, false, ""}},
		}, {
			name: "no budget for it after a failure", opts: options(hedge.WithBudget(mustBudget(t, retry.WithFloor(0)))), steps: []step{fails(10*ms, transient)},
			at: []time.Duration{0}, took: 10 * ms, value: 1,
			outcome: transient, reason: retry.ReasonBudget, wrapped: true,
			told: []told{{1, transient, false, retry.ReasonBudget}},
		}, {
			name: "being retried further up", previous: 1, steps: []step{answers(time.Second)},
			at: []time.Duration{0}, took: time.Second, value: 1,
			told: []told{{1, 0, false, ""}},
		}, {
			name: "being retried further up, if told", opts: options(hedge.WithNestedHedges()), previous: 1, steps: []step{answers(time.Second), answers(0)},
			at: []time.Duration{0, 100 * ms}, took: 100 * ms, value: 2,
			canceled: []int{1}, discarded: []int{1},
			told: []told{{2, 0, false, ""}, {1, lost, false, hedge.ReasonLost}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events attempts
				p := mustNew(t, append(options(hedge.WithDelay(100*ms), hedge.WithObserver(events.observer())), tc.opts...)...)
				s := newService(tc.steps...)
				var discarded []int
				value, got := hedge.Do(retry.WithPreviousAttempts(t.Context(), tc.previous), p, s.call,
					func(n int) { discarded = append(discarded, n) })

				if took := time.Since(s.began); took != tc.took || value != tc.value {
					t.Errorf("attempt %d was taken after %v, want %d after %v", value, took, tc.value, tc.took)
				}
				if diff := cmp.Diff(tc.at, s.at); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
				if got.Outcome != tc.outcome || got.Reason != tc.reason || got.Attempts != len(tc.at) || errors.Is(got.Err, errDown) != (tc.outcome != resilience.OutcomeOK) {
					t.Errorf("got %+v, want %v, %q after %d", got, tc.outcome, tc.reason, len(tc.at))
				}
				if e, wrapped := errors.AsType[*resilience.AttemptsError](got.Err); wrapped != tc.wrapped || wrapped && (e.Attempts != len(tc.at) || e.Reason != tc.reason) {
					t.Errorf("error is %#v, want an AttemptsError: %v", got.Err, tc.wrapped)
				}
				for i, cause := range s.ended {
					want := error(nil)
					if slices.Contains(tc.canceled, i+1) {
						want = ctxutil.ErrHedgeLost
					}
					if cause != want {
						t.Errorf("attempt %d was ended by %v, want %v", i+1, cause, want)
					}
				}
				slices.Sort(discarded)
				if diff := cmp.Diff(tc.discarded, discarded); diff != "" {
					t.Errorf("discarded (-want +got):\n%s", diff)
				}
				var heard []told
				for _, e := range events {
					heard = append(heard, told{e.Number, e.Outcome, e.Again, e.Reason})
					if e.Policy != resilience.PolicyHedge || e.Name != "inventory" || e.Outcome == lost && e.Err != ctxutil.ErrHedgeLost {
						t.Errorf("event %+v", e)
					}
				}
				byNumber := func(a, b told) int { return a.Number - b.Number }
				slices.SortFunc(heard[1:], byNumber) // the losers end at the same time
				slices.SortFunc(tc.told[1:], byNumber)
				if diff := cmp.Diff(tc.told, heard); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAttemptsSeeTheirNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms), hedge.WithNestedHedges(), hedge.WithMaxAttempts(3))
		type seen struct{ Number, Max, InContext, Previous int }
		got := make([]seen, 3)
		hedge.Do(retry.WithPreviousAttempts(t.Context(), 2), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
			got[a.Number-1] = seen{a.Number, a.Max, retry.AttemptNumber(ctx), retry.PreviousAttempts(ctx)}
			if a.Number < 3 {
				<-ctx.Done()
			}
			return 0, retry.Result{}
		}, nil)
		if diff := cmp.Diff([]seen{{1, 3, 1, 2}, {2, 3, 2, 3}, {3, 3, 3, 4}}, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

// Nothing of a call runs when it is over, however long attempts take to notice.
func TestWaitsForLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms))
		began, over := time.Now(), false
		hedge.Do(t.Context(), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
			if a.Number == 1 {
				<-ctx.Done()
				time.Sleep(30 * ms) // cleaning up
				over = true
			}
			return 0, retry.Result{}
		}, nil)
		if took := time.Since(began); !over || took != 130*ms {
			t.Errorf("returned after %v, with the other over: %v; want 130ms, true", took, over)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms), hedge.WithMaxAttempts(3), hedge.WithoutBudget())
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("user pressed stop")
		time.AfterFunc(150*ms, func() { cancel(stop) })
		s := newService(answers(time.Hour), answers(time.Hour), answers(time.Hour))
		_, got := hedge.Do(ctx, p, s.call, nil)
		if took := time.Since(s.began); took != 150*ms {
			t.Errorf("returned after %v, want 150ms", took)
		}
		if got.Outcome != resilience.OutcomeCanceled || got.Attempts != 2 || got.Reason != retry.ReasonEnded || !errors.Is(got.Err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
		if !slices.Equal(s.ended[:2], []error{stop, stop}) {
			t.Errorf("attempts were ended by %v, want the caller's cause", s.ended)
		}
	})
}

// An attempt that fails because the caller gave up has none sent after it.
func TestCallerGivesUpUnderAnAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := mustNew(t, hedge.WithDelay(time.Hour))
	_, got := hedge.Do(ctx, p, func(context.Context, retry.Attempt) (int, retry.Result) {
		cancel()
		return 0, retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown}
	}, nil)
	if got.Attempts != 1 || got.Reason != retry.ReasonEnded || got.Err != errDown {
		t.Errorf("got %+v", got)
	}
}

func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms))
		var answer context.Context
		value, s, release := hedge.Open(t.Context(), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
			if a.Number == 1 {
				<-ctx.Done()
			} else {
				answer = ctx
			}
			return a.Number, retry.Result{}
		}, nil)
		if value != 2 || s.Err != nil {
			t.Fatalf("got %d, %+v", value, s)
		}
		time.Sleep(time.Hour)
		if err := answer.Err(); err != nil {
			t.Errorf("while the answer is read, its context is %v", err)
		}
		release()
		release()
		if answer.Err() == nil {
			t.Error("after release, the context is alive")
		}
	})
}

// The budget is one for retries and hedges, and hedges cannot exceed it.
func TestBudgetIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mustBudget(t, retry.WithShare(0.1), retry.WithFloor(0), retry.WithWindow(time.Hour))
		p := mustNew(t, hedge.WithDelay(100*ms), hedge.WithBudget(b))
		if p.Budget() != b {
			t.Error("the budget is another")
		}
		sent := 0
		for range 200 {
			_, s := hedge.Do(t.Context(), p, newService(answers(time.Second), answers(time.Second)).call, nil)
			sent += s.Attempts
		}
		if sent != 220 {
			t.Errorf("200 slow calls were sent %d times, want 220", sent)
		}
		if b.Withdraw() {
			t.Error("there is something left for a retry")
		}
	})
}

// A service whose latency is its own distribution is hedged where that says.
func TestQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithQuantile(0.9), hedge.WithoutBudget())
		sent := 0
		call := func(i int) {
			takes := 10 * ms
			if i%20 == 19 { // one in twenty
				takes = time.Second
			}
			_, s := hedge.Do(t.Context(), p, newService(answers(takes), answers(10*ms)).call, nil)
			sent += s.Attempts - 1
		}
		for i := range hedge.MinObserved {
			if d, known := p.Delay(); known {
				t.Fatalf("after %d calls the delay is %v", i, d)
			}
			call(i)
		}
		if d, known := p.Delay(); !known || d < 10*ms || d > 10*ms*9/8 {
			t.Fatalf("the delay is %v, %v, want 10ms and an eighth at most", d, known)
		}
		if sent != 0 {
			t.Errorf("%d calls were hedged before the quantile was known", sent)
		}
		for i := range 4000 {
			call(i)
		}
		if sent != 200 {
			t.Errorf("%d of 4000 calls were hedged, want 200", sent)
		}
		// The hedged ones have not made the rest look slower or faster than they are.
		if d, _ := p.Delay(); d < 10*ms || d > 10*ms*9/8 {
			t.Errorf("the delay has become %v", d)
		}
	})
}

// Attempts that lose are as slow as can be said of them: left out, the quantile of
// what remains would fall, more calls be hedged, and it would fall again.
func TestQuantileCountsLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithQuantile(0.5), hedge.WithDelay(time.Hour), hedge.WithoutBudget())
		for i := range 3000 {
			hedge.Do(t.Context(), p, newService(answers(time.Duration(1+i%10)*10*ms), answers(ms)).call, nil)
		}
		if d, _ := p.Delay(); d < 50*ms || d > 60*ms {
			t.Errorf("the median of 10, 20, … 100ms is %v", d)
		}
	})
}

func TestDelay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opts   []hedge.Option
		before time.Duration // 0: not known
		after  time.Duration // of 200 calls of 80 µs
	}{
		{"default", nil, 0, ms},
		{"fixed", []hedge.Option{hedge.WithDelay(7 * ms)}, 7 * ms, 7 * ms},
		{"fixed until it is known", []hedge.Option{hedge.WithDelay(7 * ms), hedge.WithQuantile(0.5)}, 7 * ms, ms},
		{"at least", []hedge.Option{hedge.WithMinDelay(3 * ms)}, 0, 3 * ms},
		{"no least", []hedge.Option{hedge.WithMinDelay(0)}, 0, 80*1024 - 1}, // the end of its bucket: 9 or 10 eights of 1024 ns
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, tc.opts...)
				check := func(when string, want time.Duration) {
					t.Helper()
					if d, known := p.Delay(); d != want || known != (want > 0) {
						t.Errorf("%s: %v, %v, want %v", when, d, known, want)
					}
				}
				check("before", tc.before)
				for range 200 {
					hedge.Do(t.Context(), p, newService(answers(80*time.Microsecond)).call, nil)
				}
				check("after", tc.after)
			})
		})
	}
}

// Failures are often fast, and say nothing of how long an answer takes.
func TestFailuresAreNoLatencies(t *testing.T) {
	p := mustNew(t)
	for range 2 * hedge.MinObserved {
		hedge.Do(t.Context(), p, func(context.Context, retry.Attempt) (int, retry.Result) {
			return 0, retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown}
		}, nil)
	}
	if d, known := p.Delay(); known {
		t.Errorf("the delay is %v", d)
	}
}
