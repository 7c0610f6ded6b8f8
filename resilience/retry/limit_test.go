// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// hang is an attempt that is answered by nobody: it notes its context and waits for
// its end, which a transport reports as something of its own.
func hang(into *[]context.Context) func(context.Context, retry.Attempt) retry.Result {
	return func(ctx context.Context, _ retry.Attempt) retry.Result {
		*into = append(*into, ctx)
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		<-child.Done()
		return retry.Result{Outcome: resilience.OutcomeCallerDeadline, Err: child.Err()}
	}
}

func TestPerTryTimeout(t *testing.T) {
	retryOn := retry.WithRetryOn(resilience.OutcomeTransient, resilience.OutcomeTimeout)
	for _, tc := range []struct {
		name     string
		opts     []retry.Option
		timeout  time.Duration
		took     time.Duration
		attempts int
		outcome  resilience.Outcome
		end      ctxutil.End // of the last attempt
		reason   string
	}{
		{"not retried unless told", nil, 0, 100 * ms, 1, resilience.OutcomeTimeout, ctxutil.EndTimeout, retry.ReasonNotRetryable},
		{"retried", []retry.Option{retryOn}, 0, 450 * ms, 3, resilience.OutcomeTimeout, ctxutil.EndTimeout, retry.ReasonExhausted},
		{"the caller's deadline is sooner", []retry.Option{retryOn}, 80 * ms, 80 * ms, 1, resilience.OutcomeCallerDeadline, ctxutil.EndCallerDeadline, retry.ReasonEnded},
		{"the caller's deadline is as soon", []retry.Option{retryOn}, 100 * ms, 100 * ms, 1, resilience.OutcomeCallerDeadline, ctxutil.EndCallerDeadline, retry.ReasonEnded},
		{"the caller's deadline ends the second", []retry.Option{retryOn}, 200 * ms, 200 * ms, 2, resilience.OutcomeCallerDeadline, ctxutil.EndCallerDeadline, retry.ReasonEnded},
		{"the overall timeout ends the second", []retry.Option{retryOn, retry.WithOverallTimeout(200 * ms)}, 0, 200 * ms, 2, resilience.OutcomeTimeout, ctxutil.EndTimeout, retry.ReasonDeadline},
	} {
		for way, do := range map[string]func(*retry.Policy, context.Context, func(context.Context, retry.Attempt) retry.Result) retry.Summary{
			"do": (*retry.Policy).Do,
			"open": func(p *retry.Policy, ctx context.Context, f func(context.Context, retry.Attempt) retry.Result) retry.Summary {
				s, release := p.Open(ctx, f)
				release()
				return s
			},
		} {
			t.Run(tc.name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := t.Context()
					if tc.timeout > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tc.timeout)
						defer cancel()
					}
					began := time.Now()
					var seen []context.Context
					p := mustNew(t, append(tc.opts, retry.WithPerTryTimeout(100*ms))...)
					s := do(p, ctx, hang(&seen))
					if took := time.Since(began); took != tc.took {
						t.Errorf("took %v, want %v", took, tc.took)
					}
					if s.Outcome != tc.outcome || s.Attempts != tc.attempts || s.Reason != tc.reason {
						t.Errorf("got %v, %q after %d, want %v, %q after %d", s.Outcome, s.Reason, s.Attempts, tc.outcome, tc.reason, tc.attempts)
					}
					if end := ctxutil.EndedBy(seen[len(seen)-1]); end != tc.end {
						t.Errorf("the attempt was ended by %v, want %v", end, tc.end)
					}
				})
			})
		}
	}
}

// The limit of a call that is over when it returns is a deadline: it goes over the
// wire, and what is derived from its context reports it as one.
func TestPerTryTimeoutIsADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		var err error
		mustNew(t, retry.WithPerTryTimeout(100*ms)).Do(t.Context(), func(ctx context.Context, _ retry.Attempt) retry.Result {
			left, _ = ctxutil.Remaining(ctx)
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			err = child.Err()
			return retry.Result{Outcome: resilience.OutcomeTimeout, Err: err}
		})
		if left != 100*ms || err != context.DeadlineExceeded {
			t.Errorf("%v left and then %v, want 100ms and a deadline", left, err)
		}
	})
}

// PAINS 15: an answer is readable to its end, however long that takes.
func TestOpenLimitsTheAnswersBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer context.Context
		p := mustNew(t, retry.WithPerTryTimeout(100*ms))
		s, release := p.Open(t.Context(), func(ctx context.Context, a retry.Attempt) retry.Result {
			if _, bounded := ctx.Deadline(); bounded {
				t.Error("the server would be told to break off its answer")
			}
			if a.Number == 1 {
				return ended(resilience.OutcomeTransient)
			}
			answer = ctx
			time.Sleep(99 * ms)
			return retry.Result{}
		})
		if s.Err != nil || s.Attempts != 2 {
			t.Fatalf("got %+v", s)
		}
		time.Sleep(time.Hour)
		if err := answer.Err(); err != nil {
			t.Errorf("while the answer is read, its context is %v", err)
		}
		release()
		if err := answer.Err(); err == nil {
			t.Error("after release, the context is alive")
		}
		release()
	})
}

// A failure may have an answer, too: a status 503 has a body.
func TestOpenKeepsTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []context.Context
		p := mustNew(t, retry.WithPerTryTimeout(100*ms))
		_, release := p.Open(t.Context(), func(ctx context.Context, _ retry.Attempt) retry.Result {
			seen = append(seen, ctx)
			return ended(resilience.OutcomeTransient)
		})
		alive := func() (n []bool) {
			for _, ctx := range seen {
				n = append(n, ctx.Err() == nil)
			}
			return n
		}
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]bool{false, false, true}, alive()); diff != "" {
			t.Errorf("contexts alive before release (-want +got):\n%s", diff)
		}
		release()
		if diff := cmp.Diff([]bool{false, false, false}, alive()); diff != "" {
			t.Errorf("contexts alive after release (-want +got):\n%s", diff)
		}
	})
}

func TestAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func(before, after time.Duration) (answered bool, end error) {
			p := mustNew(t, retry.WithPerTryTimeout(100*ms))
			_, release := p.Open(t.Context(), func(ctx context.Context, a retry.Attempt) retry.Result {
				time.Sleep(before)
				answered = a.Answered()
				time.Sleep(after)
				end = ctx.Err()
				return retry.Result{}
			})
			release()
			return answered, end
		}
		if ok, end := open(99*ms, time.Hour); !ok || end != nil {
			t.Errorf("answered in time: %v, and an hour later %v", ok, end)
		}
		if ok, end := open(101*ms, 0); ok || end == nil {
			t.Errorf("answered too late: %v, %v", ok, end)
		}
		// Where there is no limit, or one that cannot be lifted.
		mustNew(t).Open(t.Context(), func(_ context.Context, a retry.Attempt) retry.Result {
			if !a.Answered() {
				t.Error("without a limit it had passed")
			}
			return retry.Result{}
		})
		mustNew(t, retry.WithPerTryTimeout(100*ms)).Do(t.Context(), func(_ context.Context, a retry.Attempt) retry.Result {
			if !a.Answered() {
				t.Error("the deadline had passed")
			}
			return retry.Result{}
		})
	})
}

// A stream is retried until its first message, and from then on has no limit.
func TestRunOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, retry.WithPerTryTimeout(100*ms), retry.WithRetryOn(resilience.OutcomeTimeout))
		began := time.Now()
		run := p.Start(t.Context())

		first, limit := run.Begin()
		if a := run.Attempt(); a.Number != 1 || a.Max != 3 {
			t.Errorf("attempt %+v", a)
		}
		<-first.Done()
		limit.End() // the adapter cleans up before it asks
		wait, again, reason := run.Next(retry.Result{Outcome: resilience.OutcomeCanceled, Err: first.Err()})
		if wait != 50*ms || !again || reason != "" {
			t.Fatalf("after the timeout: %v, %v, %q", wait, again, reason)
		}
		if err := run.Wait(wait); err != nil {
			t.Fatal(err)
		}

		second, limit := run.Begin()
		if a := run.Attempt(); a.Number != 2 || retry.AttemptNumber(second) != 2 {
			t.Errorf("attempt %+v", a)
		}
		time.Sleep(60 * ms)
		if !limit.Lift() || !limit.Lift() {
			t.Error("the limit had passed")
		}
		run.Next(retry.Result{})
		if got := p.Estimate(); got != 60*ms {
			t.Errorf("the estimate is %v, want the time to the first message", got)
		}
		time.Sleep(time.Hour)
		if second.Err() != nil {
			t.Error("the stream has ended")
		}
		limit.End()
		limit.End()
		if !errors.Is(second.Err(), context.Canceled) {
			t.Error("the stream has not ended")
		}
		if s := run.Summary(); s.Attempts != 2 || s.Err != nil || s.Reason != "" || time.Since(began) != time.Hour+210*ms {
			t.Errorf("%+v after %v", s, time.Since(began))
		}
	})
}

func TestNoLimit(t *testing.T) {
	run := mustNew(t).Start(t.Context())
	ctx, limit := run.Begin()
	if limit != nil || ctx != t.Context() {
		t.Errorf("the first attempt's context is %v, limit %v, want the call's and none", ctx, limit)
	}
	if !limit.Lift() {
		t.Error("no limit has passed")
	}
	limit.End()
}
