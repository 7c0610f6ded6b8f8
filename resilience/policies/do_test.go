// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func client(t testing.TB, opts ...policies.ClientOption) *policies.Client {
	t.Helper()
	return mustNew(t, policies.WithDefaults(opts...)).Service("payment").Client()
}

// The breaker sees each attempt, not the call, and the last of them may be refused.
func TestDoAsksTheBreakerForEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, policies.Retry(retry.WithMaxAttempts(5)), policies.Breaker(breaker.WithMinCalls(2), breaker.WithJitter(0)))
		sent := 0
		got := c.Do(t.Context(), func(context.Context, retry.Attempt) retry.Result {
			sent++
			return down()
		})
		if sent != 2 || got.Attempts != 3 || got.Outcome != resilience.OutcomeRejected || !errors.Is(got.Err, resilience.ErrOpen) {
			t.Errorf("sent %d times, ended as %+v; want two, and the third refused", sent, got)
		}
		if b := c.Breaker.Snapshot(); b.Failures != 0 || b.State != resilience.StateOpen {
			t.Errorf("breaker %+v", b)
		}
	})
}

// TestRefusalsOverThereLeaveTheBreakerClosed: who refuses answers.
func TestRefusalsOverThereLeaveTheBreakerClosed(t *testing.T) {
	for remote, want := range map[bool]resilience.State{true: resilience.StateClosed, false: resilience.StateOpen} {
		service := mustNew(t, policies.WithDefaults(policies.NoRetry(), policies.Breaker(breaker.WithMinCalls(3)))).Service("payment")
		for range 3 {
			err := error(&resilience.RejectedError{Policy: resilience.PolicyShed, Remote: true})
			if !remote {
				err = errors.New("down")
			}
			service.Client().Do(t.Context(), func(context.Context, retry.Attempt) retry.Result {
				return retry.Result{Outcome: resilience.OutcomeTransient, Err: err}
			})
		}
		if got := service.Breaker().State(); got != want {
			t.Errorf("refused over there %v: %v, want %v", remote, got, want)
		}
	}
}

// A refusal further in gives back what was taken further out, and the breaker does not
// count it: a probe that is refused is none.
func TestAdmitIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, policies.RateLimit(1, 1), policies.Bulkhead(1),
			policies.Breaker(breaker.WithMinCalls(1), breaker.WithProbes(1), breaker.WithOpenTime(time.Second), breaker.WithJitter(0)))
		first, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := c.Admit(t.Context()); !errors.Is(err, resilience.ErrOverloaded) {
			t.Errorf("with the only place taken: %v, want the bulkhead's refusal", err)
		}
		first.Done(t.Context(), resilience.OutcomeTransient, 0, 0)
		if _, err := c.Admit(t.Context()); !errors.Is(err, resilience.ErrOpen) {
			t.Errorf("after a failure: %v, want the breaker's refusal", err)
		}

		time.Sleep(time.Second) // half-open: one probe at a time
		slot, err := c.Bulkhead.Allow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := c.Admit(t.Context()); !errors.Is(err, resilience.ErrOverloaded) {
				t.Errorf("a probe without a place: %v, want the bulkhead's refusal", err)
			}
			time.Sleep(time.Second)
		}
		slot.Done()
		if err := c.RateLimit.Allow(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 3 {
			if _, err := c.Admit(ctx); !errors.Is(err, resilience.ErrRateLimited) {
				t.Errorf("a probe without a token: %v, want the rate limit's refusal", err)
			}
		}

		time.Sleep(time.Second)
		probe, err := c.Admit(t.Context())
		if err != nil {
			t.Fatalf("the probe's place was lost: %v", err)
		}
		probe.Release()
		probe.Release()
		if b := c.Breaker.Snapshot(); b.Probes != 0 || b.State != resilience.StateHalfOpen || b.Trips != 1 {
			t.Errorf("breaker %+v", b)
		}
		if q := c.Bulkhead.Snapshot(); q.InFlight != 0 {
			t.Errorf("bulkhead %+v", q)
		}
	})
}

// However an attempt ends, its places are free again.
func TestDoGivesEverythingBack(t *testing.T) {
	for name, f := range map[string]func(context.Context, retry.Attempt) retry.Result{
		"success": func(context.Context, retry.Attempt) retry.Result { return retry.Result{} },
		"failure": func(context.Context, retry.Attempt) retry.Result { return down() },
		"panic":   func(context.Context, retry.Attempt) retry.Result { panic("boom") },
		"Goexit":  func(context.Context, retry.Attempt) retry.Result { runtime.Goexit(); return retry.Result{} },
	} {
		for kind, opt := range map[string]policies.ClientOption{"retried": policies.Retry(), "hedged": policies.Hedge(hedge.WithDelay(time.Hour)), "once": policies.NoRetry()} {
			t.Run(name+" "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := client(t, opt, policies.Bulkhead(1))
					done := make(chan struct{})
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						c.Do(t.Context(), f)
					}()
					<-done
					if q := c.Bulkhead.Snapshot(); q.InFlight != 0 {
						t.Errorf("%d places are taken", q.InFlight)
					}
					b := c.Breaker.Snapshot()
					if counted := b.Successes + b.Failures; (name == "success" || name == "failure") != (counted > 0) {
						t.Errorf("%d calls counted", counted)
					}
				})
			})
		}
	}
}

func TestDoWithoutPolicies(t *testing.T) {
	c := &policies.Client{}
	got := c.Do(t.Context(), func(_ context.Context, a retry.Attempt) retry.Result {
		if a.Number != 1 || a.Max != 1 {
			t.Errorf("attempt %d of %d", a.Number, a.Max)
		}
		return down()
	})
	want := retry.Summary{Result: down(), Attempts: 1, Reason: retry.ReasonExhausted}
	if diff := cmp.Diff(want.Reason, got.Reason); diff != "" || got.Err != errDown || got.Attempts != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := c.Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return retry.Result{} }); got.Err != nil || got.Reason != "" {
		t.Errorf("got %+v, want a success", got)
	}
}

func TestDoHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, policies.Hedge(hedge.WithDelay(100*time.Millisecond)), policies.Bulkhead(2))
		start := time.Now()
		got := c.Do(t.Context(), func(ctx context.Context, a retry.Attempt) retry.Result {
			if a.Number == 1 {
				<-ctx.Done()
				return retry.Result{Outcome: resilience.OutcomeCanceled, Err: ctx.Err()}
			}
			return retry.Result{}
		})
		if took := time.Since(start); got.Err != nil || got.Attempts != 2 || took != 100*time.Millisecond {
			t.Errorf("got %+v after %v", got, took)
		}
		if b := c.Breaker.Snapshot(); b.Successes != 1 || b.Failures != 0 {
			t.Errorf("breaker %+v, want the winner alone to count", b)
		}
	})
}

// The breaker learns how long the attempt took, without what it waited for before.
func TestDoMeasuresTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, policies.NoRetry(), policies.RateLimit(1, 1),
			policies.Breaker(breaker.WithMinCalls(1), breaker.WithSlowCalls(500*time.Millisecond, 0.3)))
		take := func(d time.Duration) {
			c.Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { time.Sleep(d); return retry.Result{} })
		}
		take(0)
		take(0) // waits for a second
		if got := c.Breaker.State(); got != resilience.StateClosed {
			t.Fatalf("%v: the wait for a token counted", got)
		}
		take(500 * time.Millisecond)
		if got := c.Breaker.State(); got != resilience.StateOpen {
			t.Errorf("%v after a slow call", got)
		}
	})
}

// A caller that gives up is not the service's fault, whatever the function makes of it;
// a service that exceeds our time limit is.
func TestDoTellsWhoEndedTheAttempt(t *testing.T) {
	const limit = 100 * time.Millisecond
	giveUp := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(limit/2, cancel)
		return ctx, cancel
	}
	for _, tc := range []struct {
		name    string
		opts    []policies.ClientOption
		end     func(context.Context) (context.Context, context.CancelFunc)
		says    resilience.Outcome
		want    resilience.Outcome
		counted int
	}{
		{"canceled", nil, giveUp, resilience.OutcomeTransient, resilience.OutcomeCanceled, 0},
		{"caller's deadline", nil, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, limit)
		}, resilience.OutcomeTimeout, resilience.OutcomeCallerDeadline, 0},
		{"our time limit", []policies.ClientOption{policies.Retry(retry.WithPerTryTimeout(limit))}, nil, resilience.OutcomeCanceled, resilience.OutcomeTimeout, 1},
		{"an answer all the same", nil, giveUp, resilience.OutcomeOverload, resilience.OutcomeOverload, 1},
		{"nothing ended", nil, nil, resilience.OutcomeTransient, resilience.OutcomeTransient, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, append(tc.opts, policies.Retry(retry.WithMaxAttempts(1)))...)
				ctx := t.Context()
				if tc.end != nil {
					var cancel context.CancelFunc
					ctx, cancel = tc.end(ctx)
					defer cancel()
				}
				got := c.Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
					time.Sleep(limit)
					synctest.Wait()
					return retry.Result{Outcome: tc.says, Err: errDown}
				})
				if got.Outcome != tc.want {
					t.Errorf("ended as %v, want %v", got.Outcome, tc.want)
				}
				if b := c.Breaker.Snapshot(); b.Failures != tc.counted || b.Successes != 0 {
					t.Errorf("%d failures and %d successes counted, want %d and none", b.Failures, b.Successes, tc.counted)
				}
			})
		})
	}
}

func TestDoTellsWhoEndedTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, policies.RateLimit(1, 1))
		if err := c.RateLimit.Allow(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		got := c.Do(ctx, func(context.Context, retry.Attempt) retry.Result { t.Error("sent"); return retry.Result{} })
		if got.Outcome != resilience.OutcomeCanceled || !errors.Is(got.Err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
	})
}
