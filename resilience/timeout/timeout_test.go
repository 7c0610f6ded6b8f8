// SPDX-License-Identifier: Apache-2.0

package timeout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/timeout"
)

func newTimeout(t testing.TB, d time.Duration) *timeout.Timeout {
	t.Helper()
	limit, err := timeout.New("payment", d)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

// wait ends with its context, and returns what a call over the wire may: an error
// that does not wrap the context's.
func wait(ctx context.Context) error {
	<-ctx.Done()
	return errDown
}

var errDown = errors.New("down")

func TestWhoTimedOut(t *testing.T) {
	for _, tc := range []struct {
		name    string
		caller  func(context.Context) (context.Context, context.CancelFunc)
		call    func(context.Context) error
		after   time.Duration
		want    resilience.Outcome
		exceeds bool
	}{
		{"we, the caller has no deadline", context.WithCancel, wait, 2 * time.Second, resilience.OutcomeTimeout, true},
		{"we, the caller's deadline is later", deadline(3 * time.Second), wait, 2 * time.Second, resilience.OutcomeTimeout, true},
		{"the caller's deadline", deadline(time.Second), wait, time.Second, resilience.OutcomeCallerDeadline, false},
		{"the caller's deadline, at the same time", deadline(2 * time.Second), wait, 2 * time.Second, resilience.OutcomeCallerDeadline, false},
		{"the caller's deadline, long ago", deadline(-time.Second), wait, 0, resilience.OutcomeCallerDeadline, false},
		{"the caller gave up", gaveUp(time.Second), wait, time.Second, resilience.OutcomeCanceled, false},
		{"a limit of ours around it", outer(time.Second), wait, time.Second, resilience.OutcomeTimeout, false},
		{"nobody: it failed", context.WithCancel, func(context.Context) error { return errDown }, 0, resilience.OutcomeTransient, false},
		{"nobody: it succeeded", context.WithCancel, func(context.Context) error { return nil }, 0, resilience.OutcomeOK, false},
		{"nobody: it succeeded though late", context.WithCancel, func(ctx context.Context) error { _ = wait(ctx); return nil }, 2 * time.Second, resilience.OutcomeOK, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := newTimeout(t, 2*time.Second)
				ctx, cancel := tc.caller(t.Context())
				defer cancel()
				start := time.Now()
				err := limit.Do(ctx, tc.call)
				if d := time.Since(start); d != tc.after {
					t.Errorf("took %v, want %v", d, tc.after)
				}
				if got := timeout.Outcome(ctx, err); got != tc.want {
					t.Errorf("outcome %v, want %v (%v)", got, tc.want, err)
				}
				if tc.want != resilience.OutcomeOK && !errors.Is(err, errDown) {
					t.Errorf("%v does not match the call's own error", err)
				}
				e, ok := errors.AsType[*timeout.ExceededError](err)
				if ok != tc.exceeds {
					t.Fatalf("got %v, want an ExceededError: %v", err, tc.exceeds)
				}
				if ok && (!errors.Is(err, ctxutil.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || e.Error() != `timeout "payment": exceeded 2s`) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func deadline(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

func outer(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, d, ctxutil.ErrTimeout)
	}
}

func gaveUp(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newTimeout(t, 2*time.Second)
		near, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx, stop := limit.Context(near)
		if ctx != near {
			t.Error("a nearer deadline was wrapped")
		}
		stop()
		if near.Err() != nil {
			t.Error("the caller's context was canceled")
		}

		ctx, stop = limit.Context(t.Context())
		defer stop()
		if d, _ := ctx.Deadline(); d != time.Now().Add(2*time.Second) {
			t.Errorf("deadline %v, want in 2s", d)
		}
		<-ctx.Done()
		if by := ctxutil.EndedBy(ctx); by != ctxutil.EndTimeout {
			t.Errorf("ended by %v, want timeout", by)
		}
	})
}

func TestBadValues(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    time.Duration
		want string
	}{
		{"", time.Second, `timeout: name "": must not be empty`},
		{"a", 0, "timeout: duration 0s: must be positive"},
		{"", -time.Second, "timeout: name \"\": must not be empty\ntimeout: duration -1s: must be positive"},
	} {
		if _, err := timeout.New(tc.name, tc.d); err == nil || err.Error() != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

func TestNoAllocationsUnderANearerDeadline(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	limit := newTimeout(t, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := testing.AllocsPerRun(100, func() {
		_, stop := limit.Context(ctx)
		stop()
		_ = limit.Do(ctx, func(context.Context) error { return nil })
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// Read it as a ratio to gobreaker/Execute.
func BenchmarkTimeout(b *testing.B) {
	limit := newTimeout(b, time.Hour)
	succeed := func(context.Context) error { return nil }
	near, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"gobreaker/Execute", func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }},
		{"caller's deadline", func() { _ = limit.Do(near, succeed) }},
		{"own", func() { _ = limit.Do(b.Context(), succeed) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.f()
			}
		})
	}
}
