// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// fixed returns a shedder whose limit is n and stays so.
func fixed(t testing.TB, n int, opts ...shed.Option) *shed.Shedder {
	t.Helper()
	return newShedder(t, shed.WithInitialLimit(n), shed.WithMinLimit(n), shed.WithMaxLimit(n), shed.Options(opts...))
}

// allow wants a call to be admitted.
func allow(t testing.TB, s *shed.Shedder, p shed.Priority) shed.Lease {
	t.Helper()
	lease, err := s.Allow(t.Context(), p)
	if err != nil {
		t.Fatalf("%v refused: %v", p, err)
	}
	return lease
}

// refused wants a call to be refused, and returns how.
func refused(t testing.TB, s *shed.Shedder, p shed.Priority) *resilience.RejectedError {
	t.Helper()
	lease, err := s.Allow(t.Context(), p)
	if err == nil {
		lease.Release()
		t.Fatalf("%v admitted, want a refusal", p)
	}
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok {
		t.Fatalf("refused with %T, want *resilience.RejectedError", err)
	}
	return e
}

func wantInFlight(t testing.TB, s *shed.Shedder, want int) {
	t.Helper()
	if got := s.Snapshot().InFlight; got != want {
		t.Errorf("%d in flight, want %d", got, want)
	}
}

func TestEachPriorityHasItsShare(t *testing.T) {
	for _, tc := range []struct {
		limit int
		caps  [4]int // from sheddable to health
	}{
		{1, [4]int{1, 1, 2, 3}},
		{2, [4]int{1, 2, 3, 4}},
		{4, [4]int{3, 4, 6, 8}},
		{100, [4]int{75, 100, 150, 200}},
	} {
		s := fixed(t, tc.limit)
		n := 0
		for i, want := range tc.caps {
			p := shed.PrioritySheddable + shed.Priority(i)
			for ; n < want; n++ {
				allow(t, s, p)
			}
			refused(t, s, p)
			wantInFlight(t, s, want)
		}
		snap := s.Snapshot()
		for i := range tc.caps {
			if p := shed.PrioritySheddable + shed.Priority(i); snap.Shed.Of(p) != 1 {
				t.Errorf("limit %d: %d %v calls counted as shed, want 1", tc.limit, snap.Shed.Of(p), p)
			}
		}
		if got := snap.Admitted.Total(); got != uint64(n) || snap.Shed.Total() != 4 {
			t.Errorf("limit %d: %d admitted, %d shed; want %d, 4", tc.limit, got, snap.Shed.Total(), n)
		}
	}
}

func TestRefusalSaysWhatAndWhen(t *testing.T) {
	var told *resilience.RejectedError
	s := fixed(t, 1, shed.WithRetryAfter(time.Second), shed.WithObserver(resilience.Observer{
		Rejected: func(_ context.Context, e *resilience.RejectedError) { told = e },
	}))
	allow(t, s, shed.PriorityNormal)
	e := refused(t, s, shed.Priority(99)) // which is none, and so normal
	if told != e {
		t.Errorf("the observer was told of %v, want %v", told, e)
	}
	if !errors.Is(e, resilience.ErrOverloaded) {
		t.Errorf("%v does not match ErrOverloaded", e)
	}
	if e.Policy != resilience.PolicyShed || e.Name != "orders" || e.Reason != "overloaded" || e.Remote {
		t.Errorf("refused with %+v", e)
	}
	for range 100 {
		if d := refused(t, s, shed.PriorityNormal).RetryAfter; d < time.Second || d >= 2*time.Second {
			t.Fatalf("retry after %v, want from 1s to 2s", d)
		}
	}
	if d := func() time.Duration {
		s := fixed(t, 1, shed.WithRetryAfter(0))
		allow(t, s, shed.PriorityNormal)
		return refused(t, s, shed.PriorityNormal).RetryAfter
	}(); d != 0 {
		t.Errorf("retry after %v, want none", d)
	}
}

func TestLeaseEndsOnce(t *testing.T) {
	s := fixed(t, 2)
	a, b := allow(t, s, 0), allow(t, s, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(a.Release)
		wg.Go(func() { a.Done(t.Context(), resilience.OutcomeOK) })
	}
	wg.Wait()
	wantInFlight(t, s, 1)
	b.Release()
	b.Done(t.Context(), resilience.OutcomeOK)
	wantInFlight(t, s, 0)
	var zero shed.Lease
	zero.Done(t.Context(), resilience.OutcomeOK)
	zero.Release()
}

func TestDo(t *testing.T) {
	s := fixed(t, 1)
	failed := errors.New("failed")
	if err := s.Do(t.Context(), shed.PriorityNormal, func(ctx context.Context) error {
		wantInFlight(t, s, 1)
		if err := s.Do(ctx, shed.PriorityNormal, nil); !errors.Is(err, resilience.ErrOverloaded) {
			t.Errorf("a second call: %v, want ErrOverloaded", err)
		}
		return failed
	}); !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	for name, f := range map[string]func(context.Context) error{
		"panic":  func(context.Context) error { panic("boom") },
		"goexit": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			_ = s.Do(context.Background(), shed.PriorityNormal, f)
		}()
		<-done
		if got := s.Snapshot().InFlight; got != 0 {
			t.Errorf("%s: %d in flight, want 0", name, got)
		}
	}
}

// TestWhatFeedsTheEstimator makes calls that take 100 ms, and then a window's worth
// of others: only some of them may change what the shedder knows.
func TestWhatFeedsTheEstimator(t *testing.T) {
	const usual = 100 * time.Millisecond
	for _, tc := range []struct {
		outcome resilience.Outcome
		took    time.Duration
		feeds   bool
	}{
		{resilience.OutcomeOK, time.Millisecond, true},
		{resilience.OutcomeOK, time.Second, true},
		{resilience.OutcomeClientFault, time.Second, true},
		{resilience.OutcomeTimeout, time.Second, true},
		{resilience.OutcomeTimeout, time.Millisecond, false},
		{resilience.OutcomeCallerDeadline, time.Second, true},
		{resilience.OutcomeCallerDeadline, time.Millisecond, false},
		{resilience.OutcomeCanceled, time.Second, false},
		{resilience.OutcomeCanceled, time.Millisecond, false},
		{resilience.OutcomeRejected, time.Millisecond, false},
		{resilience.OutcomeServerFault, time.Millisecond, false},
		{resilience.OutcomeTransient, time.Second, false},
		{resilience.OutcomeOverload, time.Millisecond, false},
	} {
		t.Run(tc.outcome.String()+" after "+tc.took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShedder(t)
				calls := func(n int, took time.Duration, outcome resilience.Outcome) {
					for range n {
						checking := allow(t, s, shed.PriorityHealth) // which asks for no work
						checking.Done(t.Context(), resilience.OutcomeOK)
						lease := allow(t, s, shed.PriorityNormal)
						time.Sleep(took)
						lease.Done(t.Context(), outcome)
					}
				}
				calls(100, usual, resilience.OutcomeOK)
				if got := s.Snapshot(); got.Latency != usual || got.Unloaded != usual {
					t.Fatalf("latency %v, unloaded %v; want both %v", got.Latency, got.Unloaded, usual)
				}
				calls(2000, tc.took, tc.outcome)
				if got := s.Snapshot().Latency; (got != usual) != tc.feeds {
					t.Errorf("latency is %v after calls that took %v; fed the estimator: %v, want %v", got, tc.took, got != usual, tc.feeds)
				}
			})
		})
	}
}

// TestCanceledCallsDoNotMoveTheLimit: callers that give up under load, whether at
// once or late, leave the limit where the others put it.
func TestCanceledCallsDoNotMoveTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t)
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				lease, err := s.Allow(t.Context(), shed.PriorityNormal)
				if err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
				lease.Done(t.Context(), resilience.OutcomeCanceled)
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if got := s.Snapshot(); got.Limit != shed.DefaultInitialLimit || got.Latency != 0 {
			t.Errorf("limit %d, latency %v; want %d, 0", got.Limit, got.Latency, shed.DefaultInitialLimit)
		}
	})
}

func TestObserverLearnsEachMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *shed.Shedder
		limit := shed.DefaultInitialLimit
		moves := 0
		s = newShedder(t, shed.WithObserver(resilience.Observer{
			LimitChanged: func(_ context.Context, e resilience.LimitChange) {
				_ = s.Snapshot() // may ask: no lock is held
				if e.Policy != resilience.PolicyShed || e.Name != "orders" || e.From == e.To {
					t.Errorf("told of %+v", e)
				}
				limit += e.To - e.From
				moves++
			},
		}))
		srv := newServer(100, constant(20*time.Millisecond))
		run(t, srv, s, 1, 10*time.Second, load{perSecond: 20_000, patience: time.Second})
		if got := s.Snapshot().Limit; moves == 0 || got != limit {
			t.Errorf("after %d moves observers know %d, want %d", moves, limit, got)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	s, err := shed.New("orders", shed.WithWindow(time.Millisecond, 1), shed.WithProbeInterval(2*time.Millisecond),
		shed.WithCPU(0.5, shed.OwnCPU), shed.WithCPUInterval(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 3000 {
				lease, err := s.Allow(t.Context(), shed.Priority(i%4-1))
				if err != nil {
					continue
				}
				runtime.Gosched()
				lease.Done(t.Context(), resilience.OutcomeOK)
				_ = s.Snapshot()
			}
		})
	}
	wg.Wait()
	wantInFlight(t, s, 0)
	if n := s.Snapshot(); n.Admitted.Total()+n.Shed.Total() != 8*3000 {
		t.Errorf("%d admitted and %d shed, want %d in all", n.Admitted.Total(), n.Shed.Total(), 8*3000)
	}
}
