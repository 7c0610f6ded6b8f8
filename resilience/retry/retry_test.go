// SPDX-License-Identifier: Apache-2.0

package retry_test

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
	"github.com/fairlead-go/fairlead/resilience/retry"
)

const ms = time.Millisecond

// REQ-R2: who is called when, and what the caller is told.
func TestDo(t *testing.T) {
	transient, overload := ended(resilience.OutcomeTransient), ended(resilience.OutcomeOverload)
	pushback := func(p retry.Pushback) retry.Result {
		return retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown, Pushback: p}
	}
	options := func(o ...retry.Option) []retry.Option { return o }

	for _, tc := range []struct {
		name     string
		opts     []retry.Option
		previous int
		timeout  time.Duration
		results  []retry.Result
		at       []time.Duration // when each attempt came
		outcome  resilience.Outcome
		reason   string
		wrapped  bool // in an AttemptsError
	}{
		{
			name: "success", results: []retry.Result{{}},
			at: []time.Duration{0},
		}, {
			name: "success at last", results: []retry.Result{transient, overload, {}},
			at: []time.Duration{0, 50 * ms, 150 * ms},
		}, {
			name: "three attempts, the first included", results: []retry.Result{transient},
			at:      []time.Duration{0, 50 * ms, 150 * ms},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted", wrapped: true,
		}, {
			name: "doubling up to a second", opts: options(retry.WithMaxAttempts(8), retry.WithoutBudget()), results: []retry.Result{transient},
			at:      []time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 2550 * ms, 3550 * ms},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted", wrapped: true,
		}, {
			name: "another backoff", opts: options(retry.WithBackoff(10*ms, 15*ms)), results: []retry.Result{transient},
			at:      []time.Duration{0, 10 * ms, 25 * ms},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted", wrapped: true,
		}, {
			name: "a client's fault", results: []retry.Result{ended(resilience.OutcomeClientFault)},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeClientFault, reason: "not retryable",
		}, {
			name: "a client's fault at the second attempt: the first may have had an effect", results: []retry.Result{transient, ended(resilience.OutcomeClientFault)},
			at:      []time.Duration{0, 50 * ms},
			outcome: resilience.OutcomeClientFault, reason: "not retryable", wrapped: true,
		}, {
			name: "a server's fault", results: []retry.Result{ended(resilience.OutcomeServerFault)},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeServerFault, reason: "not retryable",
		}, {
			name: "a server's fault, if told", opts: options(retry.WithRetryOn(resilience.OutcomeServerFault)), results: []retry.Result{ended(resilience.OutcomeServerFault), {}},
			at: []time.Duration{0, 50 * ms},
		}, {
			name: "told in place of the default", opts: options(retry.WithRetryOn(resilience.OutcomeServerFault)), results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "not retryable",
		}, {
			name: "a server's fault, of which the adapter knows more", results: []retry.Result{worth(resilience.OutcomeServerFault), {}},
			at: []time.Duration{0, 50 * ms},
		}, {
			name: "a timeout, of which the adapter knows more", results: []retry.Result{worth(resilience.OutcomeTimeout), worth(resilience.OutcomeServerFault), transient},
			at:      []time.Duration{0, 50 * ms, 150 * ms},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted", wrapped: true,
		}, {
			name: "the next is worth it only if the adapter says so again", results: []retry.Result{worth(resilience.OutcomeServerFault), ended(resilience.OutcomeServerFault)},
			at:      []time.Duration{0, 50 * ms},
			outcome: resilience.OutcomeServerFault, reason: "not retryable", wrapped: true,
		}, {
			name: "the user knows better than the adapter", opts: options(retry.WithRetryOn(resilience.OutcomeTransient)), results: []retry.Result{worth(resilience.OutcomeServerFault)},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeServerFault, reason: "not retryable",
		}, {
			name: "what no attempt changes is not worth one", results: []retry.Result{worth(resilience.OutcomeClientFault)},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeClientFault, reason: "not retryable",
		}, {
			name: "what nobody waits for is not worth one", results: []retry.Result{worth(resilience.OutcomeCallerDeadline)},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeCallerDeadline, reason: "not retryable",
		}, {
			name: "an outcome that does not exist is not worth one", results: []retry.Result{worth(200)},
			at:      []time.Duration{0},
			outcome: 200, reason: "not retryable",
		}, {
			name: "a failure that is worth it is no way around the rest", results: []retry.Result{{Outcome: resilience.OutcomeServerFault, Err: errDown, Retryable: true, Veto: retry.ReasonNotReplayable}},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeServerFault, reason: "not replayable", wrapped: true,
		}, {
			name: "retries switched off", opts: options(retry.WithMaxAttempts(1)), results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted",
		}, {
			name: "an outcome that does not exist", results: []retry.Result{{Outcome: 200, Err: errDown}},
			at:      []time.Duration{0},
			outcome: 200, reason: "not retryable",
		}, {
			name: "the server says when: jitter is on top, and the backoff begins anew", opts: options(retry.WithMaxAttempts(4), retry.WithoutBudget()),
			results: []retry.Result{transient, pushback(retry.PushbackAfter(2 * time.Second)), transient},
			at:      []time.Duration{0, 50 * ms, 2100 * ms, 2150 * ms},
			outcome: resilience.OutcomeTransient, reason: "attempts exhausted", wrapped: true,
		}, {
			name: "the server says soon: the jitter is no longer than that", results: []retry.Result{pushback(retry.PushbackAfter(5 * ms)), {}},
			at: []time.Duration{0, 10 * ms},
		}, {
			name: "the server says now", results: []retry.Result{pushback(retry.PushbackAfter(0)), {}},
			at: []time.Duration{0, 0},
		}, {
			name: "the server says no", results: []retry.Result{pushback(retry.PushbackStop())},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "pushback: do not retry", wrapped: true,
		}, {
			name: "the server says later than is of use", results: []retry.Result{pushback(retry.PushbackAfter(30*time.Second + 1))},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "pushback: too long a wait", wrapped: true,
		}, {
			name: "what the server says of an answer does not matter", results: []retry.Result{{Outcome: resilience.OutcomeClientFault, Err: errDown, Pushback: retry.PushbackAfter(0)}},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeClientFault, reason: "not retryable",
		}, {
			name: "the request is gone", results: []retry.Result{{Outcome: resilience.OutcomeTransient, Err: errDown, Veto: retry.ReasonNotReplayable}},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "not replayable", wrapped: true,
		}, {
			name: "being retried further up", previous: 1, results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "nested retry", wrapped: true,
		}, {
			name: "being retried further up, if told", opts: options(retry.WithNestedRetries()), previous: 1, results: []retry.Result{transient, {}},
			at: []time.Duration{0, 50 * ms},
		}, {
			name: "the backoff does not fit", timeout: 50 * ms, results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "deadline too near", wrapped: true,
		}, {
			name: "the backoff fits", timeout: 50*ms + 1, results: []retry.Result{transient, {}},
			at: []time.Duration{0, 50 * ms},
		}, {
			name: "the backoff fits and the attempt does not", opts: options(retry.WithAttemptEstimate(20 * ms)), timeout: 70 * ms, results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "deadline too near", wrapped: true,
		}, {
			name: "both fit", opts: options(retry.WithAttemptEstimate(20 * ms)), timeout: 70*ms + 1, results: []retry.Result{transient, {}},
			at: []time.Duration{0, 50 * ms},
		}, {
			name: "our own limit", opts: options(retry.WithOverallTimeout(150 * ms)), results: []retry.Result{transient},
			at:      []time.Duration{0, 50 * ms},
			outcome: resilience.OutcomeTransient, reason: "deadline too near", wrapped: true,
		}, {
			name: "no budget for it", opts: options(retry.WithBudget(mustBudget(t, retry.WithFloor(0)))), results: []retry.Result{transient},
			at:      []time.Duration{0},
			outcome: resilience.OutcomeTransient, reason: "retry budget exhausted", wrapped: true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told attempts
				p := mustNew(t, append(tc.opts, retry.WithObserver(told.observer()))...)
				ctx := retry.WithPreviousAttempts(t.Context(), tc.previous)
				if tc.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
					defer cancel()
				}
				s := newScript(tc.results...)
				got := p.Do(ctx, s.attempt)

				if diff := cmp.Diff(tc.at, s.at); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
				if got.Outcome != tc.outcome || got.Reason != tc.reason || got.Attempts != len(tc.at) {
					t.Errorf("summary is %v, %q after %d attempts, want %v, %q after %d",
						got.Outcome, got.Reason, got.Attempts, tc.outcome, tc.reason, len(tc.at))
				}
				if failed := tc.outcome != resilience.OutcomeOK; errors.Is(got.Err, errDown) != failed {
					t.Errorf("error is %v, want one of the attempt: %v", got.Err, failed)
				}
				e, wrapped := errors.AsType[*resilience.AttemptsError](got.Err)
				if wrapped != tc.wrapped || wrapped && (e.Attempts != len(tc.at) || e.Reason != tc.reason) {
					t.Errorf("error is %#v, want an AttemptsError: %v", got.Err, tc.wrapped)
				}
				checkTold(t, told, tc.at, got)
			})
		})
	}
}

// checkTold holds what an observer was told against what happened.
func checkTold(t *testing.T, told attempts, at []time.Duration, s retry.Summary) {
	t.Helper()
	if len(told) != len(at) {
		t.Fatalf("the observer was told of %d attempts, want %d", len(told), len(at))
	}
	for i, a := range told {
		last := i == len(told)-1
		if a.Policy != resilience.PolicyRetry || a.Name != "inventory" || a.Number != i+1 {
			t.Errorf("attempt %d is %+v", i+1, a)
		}
		if a.Again == last || a.Reason != "" && a.Again || last && a.Reason != s.Reason {
			t.Errorf("attempt %d: again %v, reason %q, want the last alone to have the reason %q", i+1, a.Again, a.Reason, s.Reason)
		}
		if !last && a.Backoff != at[i+1]-at[i] {
			t.Errorf("attempt %d: backoff %v, want %v", i+1, a.Backoff, at[i+1]-at[i])
		}
	}
	if last := told[len(told)-1]; last.Outcome != s.Outcome {
		t.Errorf("the last attempt ended as %v, the call as %v", last.Outcome, s.Outcome)
	}
}

// An attempt that failed without an error, as one with an HTTP status does, leaves the
// answer to the adapter.
func TestFailureWithoutError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(retry.Result{Outcome: resilience.OutcomeTransient})
		got := mustNew(t).Do(t.Context(), s.attempt)
		want := retry.Summary{Result: retry.Result{Outcome: resilience.OutcomeTransient}, Attempts: 3, Reason: retry.ReasonExhausted}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// PAINS 18: who ended the wait is in the error, and nobody waits longer than that.
func TestCanceledDuringBackoff(t *testing.T) {
	stop := errors.New("user pressed stop")
	for _, tc := range []struct {
		name    string
		cause   error
		outcome resilience.Outcome
		is      []error
	}{
		{"a cause of the caller's", stop, resilience.OutcomeCanceled, []error{stop, context.Canceled}},
		{"no cause", nil, resilience.OutcomeCanceled, []error{context.Canceled}},
		{"shutdown", ctxutil.ErrShutdown, resilience.OutcomeCanceled, []error{ctxutil.ErrShutdown, context.Canceled}},
		{"our own timeout", ctxutil.ErrTimeout, resilience.OutcomeTimeout, []error{ctxutil.ErrTimeout, context.DeadlineExceeded}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(70*ms, func() { cancel(tc.cause) })
				s := newScript(ended(resilience.OutcomeTransient))
				got := mustNew(t).Do(ctx, s.attempt)

				if took := time.Since(s.began); took != 70*ms {
					t.Errorf("returned after %v, want 70ms", took)
				}
				if got.Outcome != tc.outcome || got.Attempts != 2 || got.Reason != retry.ReasonEnded {
					t.Errorf("got %+v", got)
				}
				for _, target := range append(tc.is, resilience.ErrAttemptsExhausted) {
					if !errors.Is(got.Err, target) {
						t.Errorf("%q is not %q", got.Err, target)
					}
				}
				if errors.Is(got.Err, errDown) {
					t.Errorf("%q is still the last attempt's", got.Err)
				}
			})
		})
	}
}

func TestCanceledDuringAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	got := mustNew(t).Do(ctx, func(context.Context, retry.Attempt) retry.Result {
		cancel()
		return ended(resilience.OutcomeTransient) // whatever a transport makes of it
	})
	if got.Err != errDown || got.Attempts != 1 || got.Reason != retry.ReasonEnded {
		t.Errorf("got %+v, want the attempt's own error", got)
	}
}

// The budget is asked last: a retry that is not made for another reason costs none.
func TestBudgetPaysForRetriesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mustBudget(t, retry.WithFloor(5), retry.WithWindow(time.Second))
		p := mustNew(t, retry.WithBudget(b), retry.WithMaxAttempts(2))
		run := func(timeout time.Duration, previous int, res retry.Result) float64 {
			ctx, cancel := context.WithTimeout(retry.WithPreviousAttempts(t.Context(), previous), timeout)
			defer cancel()
			p.Do(ctx, newScript(res).attempt)
			return b.Remaining()
		}
		for _, step := range []struct {
			name     string
			timeout  time.Duration
			previous int
			res      retry.Result
			want     float64
		}{
			{"success", time.Second, 0, retry.Result{}, 5},
			{"client fault", time.Second, 0, ended(resilience.OutcomeClientFault), 5},
			{"too late", 40 * ms, 0, ended(resilience.OutcomeTransient), 5},
			{"nested", time.Second, 1, ended(resilience.OutcomeTransient), 5},
			{"veto", time.Second, 0, retry.Result{Outcome: resilience.OutcomeTransient, Veto: "gone"}, 5},
			{"pushback", time.Second, 0, retry.Result{Outcome: resilience.OutcomeTransient, Pushback: retry.PushbackStop()}, 5},
			{"retried", time.Second, 0, ended(resilience.OutcomeTransient), 4},
		} {
			if got := run(step.timeout, step.previous, step.res); got != step.want {
				t.Errorf("after %s: %v left, want %v", step.name, got, step.want)
			}
		}
	})
}

// REQ-M3: budget 2 → 1.
func TestObserverSeesTheBudget(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  retry.Option
		want []float64
	}{
		{"budget", retry.WithBudget(mustBudget(t, retry.WithFloor(2), retry.WithWindow(time.Second))), []float64{1, 0, 0}},
		{"none", retry.WithoutBudget(), []float64{-1, -1, -1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var told attempts
			mustNew(t, tc.opt, retry.WithObserver(told.observer())).Do(t.Context(), newScript(ended(resilience.OutcomeTransient)).attempt)
			var got []float64
			for _, a := range told {
				got = append(got, a.Budget)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: left after each attempt (-want +got):\n%s", tc.name, diff)
			}
		})
	}
}

// A panic passes through with nothing left behind: goleak sees timers' goroutines.
func TestPanicPassesThrough(t *testing.T) {
	for name, do := range map[string]func(*retry.Policy, func(context.Context, retry.Attempt) retry.Result){
		"do":   func(p *retry.Policy, f func(context.Context, retry.Attempt) retry.Result) { p.Do(t.Context(), f) },
		"open": func(p *retry.Policy, f func(context.Context, retry.Attempt) retry.Result) { p.Open(t.Context(), f) },
	} {
		t.Run(name, func(t *testing.T) {
			var attempt context.Context
			defer func() {
				if v := recover(); v != errDown {
					t.Errorf("recovered %v, want %v", v, errDown)
				}
				if attempt.Err() == nil {
					t.Error("the attempt's context is still alive")
				}
			}()
			do(mustNew(t, retry.WithPerTryTimeout(time.Hour)), func(ctx context.Context, _ retry.Attempt) retry.Result {
				attempt = ctx
				panic(errDown)
			})
		})
	}
}

func TestAttemptsSeeTheirNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct{ Number, Max, InContext, Previous int }
		var got []seen
		note := func(ctx context.Context, a retry.Attempt) retry.Result {
			got = append(got, seen{a.Number, a.Max, retry.AttemptNumber(ctx), retry.PreviousAttempts(ctx)})
			return ended(resilience.OutcomeTransient)
		}
		p := mustNew(t, retry.WithNestedRetries(), retry.WithoutBudget(), retry.WithMaxAttempts(2))
		p.Do(t.Context(), note)
		p.Do(retry.WithPreviousAttempts(t.Context(), 3), note)
		p.Do(retry.WithAttempt(t.Context(), 3), note)
		want := []seen{
			{1, 2, 1, 0}, {2, 2, 2, 1}, // our own
			{1, 2, 1, 3}, {2, 2, 2, 4}, // on top of those further up
			{1, 2, 1, 2}, {2, 2, 2, 3}, // within another policy's third attempt
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

func TestPreviousAttemptsAreBounded(t *testing.T) {
	ctx := t.Context()
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 1000: 1000, 1 << 40: 1000} {
		if got := retry.PreviousAttempts(retry.WithPreviousAttempts(ctx, n)); got != want {
			t.Errorf("previous attempts %d became %d, want %d", n, got, want)
		}
	}
	if got := retry.PreviousAttempts(retry.WithAttempt(retry.WithPreviousAttempts(ctx, 1000), 2)); got != 1000 {
		t.Errorf("one more is %d, want 1000", got)
	}
	if got := retry.WithAttempt(ctx, 0); got != ctx {
		t.Error("an attempt 0 changed the context")
	}
}

func TestFullJitter(t *testing.T) {
	const d = 40 * ms
	var waits []time.Duration
	for range 4000 {
		waits = append(waits, retry.FullJitter(d))
	}
	if least, most := slices.Min(waits), slices.Max(waits); least < 0 || most > d || least > d/20 || most < d-d/20 {
		t.Errorf("waits are from %v to %v, want all of 0 to %v", least, most, d)
	}
	var sum time.Duration
	for _, w := range waits {
		sum += w
	}
	if mean := sum / time.Duration(len(waits)); mean < d*9/20 || mean > d*11/20 {
		t.Errorf("the mean is %v, want about %v", mean, d/2)
	}
	if got := retry.FullJitter(0); got != 0 {
		t.Errorf("jitter of nothing is %v", got)
	}
}

// What is learned of attempts that succeed keeps out those that have no time to.
func TestEstimateIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, retry.WithPerTryTimeout(time.Second))
		take := func(d time.Duration) {
			p.Do(t.Context(), func(context.Context, retry.Attempt) retry.Result {
				time.Sleep(d)
				return retry.Result{}
			})
		}
		if got := p.Estimate(); got != 0 {
			t.Errorf("before the first attempt: %v", got)
		}
		take(80 * ms)
		if got := p.Estimate(); got != 80*ms {
			t.Errorf("after the first: %v, want 80ms", got)
		}
		take(160 * ms)
		if got := p.Estimate(); got != 90*ms {
			t.Errorf("after one twice as long: %v, want 90ms", got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 140*ms)
		defer cancel()
		if got := p.Do(ctx, newScript(ended(resilience.OutcomeTransient)).attempt); got.Reason != retry.ReasonDeadline {
			t.Errorf("50ms of backoff and 90ms of attempt in 140ms: %+v", got)
		}
		given := retry.WithAttemptEstimate(3 * time.Second)
		if got := mustNew(t, given, retry.WithPerTryTimeout(time.Second)).Estimate(); got != time.Second {
			t.Errorf("the estimate is %v, want no more than the per-try timeout", got)
		}
		p = mustNew(t, given)
		take(time.Second)
		if got := p.Estimate(); got != 3*time.Second {
			t.Errorf("the estimate that was given has become %v", got)
		}
	})
}

// TestStopTravels: a server's "do not retry" is told on also where nobody would have
// retried, but not of a call that failed by the client's fault or that nobody waits for.
func TestStopTravels(t *testing.T) {
	for outcome, want := range map[resilience.Outcome]bool{
		resilience.OutcomeServerFault: true,
		resilience.OutcomeTimeout:     true,
		resilience.OutcomeTransient:   true,
		resilience.OutcomeClientFault: false,
		resilience.OutcomeCanceled:    false,
	} {
		got := mustNew(t).Do(t.Context(), func(context.Context, retry.Attempt) retry.Result {
			return retry.Result{Outcome: outcome, Err: errDown, Pushback: retry.PushbackStop()}
		})
		if retry.DoNotRetry(got.Err) != want || got.Attempts != 1 {
			t.Errorf("%v: %+v, want do not retry: %v", outcome, got, want)
		}
	}
}

func TestDoNotRetry(t *testing.T) {
	for reason, want := range map[string]bool{
		retry.ReasonExhausted:       true,
		retry.ReasonBudget:          true,
		retry.ReasonPushback:        true,
		retry.ReasonPushbackTooLong: true,
		retry.ReasonNested:          false, // the caller is retrying
		retry.ReasonDeadline:        false, // the caller may have more time
		retry.ReasonNotReplayable:   false, // the caller may still have the request
		retry.ReasonEnded:           false,
	} {
		if got := retry.DoNotRetry(&resilience.AttemptsError{Reason: reason, Last: errDown}); got != want {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
	if retry.DoNotRetry(errDown) || retry.DoNotRetry(nil) {
		t.Error("an error of a call that was not retried stops the caller")
	}
}
