// SPDX-License-Identifier: Apache-2.0

package bulkhead_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newBulkhead(t testing.TB, max int, opts ...bulkhead.Option) *bulkhead.Bulkhead {
	t.Helper()
	b, err := bulkhead.New("payment", max, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func allow(t testing.TB, b *bulkhead.Bulkhead) bulkhead.Permit {
	t.Helper()
	p, err := b.Allow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRefusesBeyondMax(t *testing.T) {
	var told []resilience.RejectedError
	var b *bulkhead.Bulkhead
	b = newBulkhead(t, 2, bulkhead.WithObserver(resilience.Observer{
		Rejected: func(_ context.Context, e *resilience.RejectedError) {
			told = append(told, *e)
			_ = b.Snapshot() // outside of its lock
		},
	}))
	first, second := allow(t, b), allow(t, b)
	_, err := b.Allow(t.Context())
	if !errors.Is(err, resilience.ErrOverloaded) {
		t.Errorf("got %v, want ErrOverloaded", err)
	}
	if got, want := err.Error(), `bulkhead "payment": full`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []resilience.RejectedError{{Policy: resilience.PolicyBulkhead, Name: "payment", Reason: "full"}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	first.Done()
	first.Done() // no second slot
	third := allow(t, b)
	if _, err := b.Allow(t.Context()); err == nil {
		t.Error("a permit done twice made two slots")
	}
	second.Done()
	third.Done()
	if diff := cmp.Diff(bulkhead.Snapshot{Name: "payment", Max: 2}, b.Snapshot()); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, 1, bulkhead.WithQueue(3, 100*time.Millisecond))
		start := time.Now()
		held := allow(t, b)
		var served []int
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				_ = b.Do(t.Context(), func(context.Context) error {
					served = append(served, i)
					time.Sleep(40 * time.Millisecond)
					return nil
				})
			})
			synctest.Wait()
		}
		want := bulkhead.Snapshot{Name: "payment", InFlight: 1, Max: 1, Queued: 3, MaxQueue: 3}
		if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
		_, err := b.Allow(t.Context())
		if e, ok := errors.AsType[*resilience.RejectedError](err); !ok || e.Reason != "full" {
			t.Errorf("got %v, want a refusal: full", err)
		}
		held.Done() // 0 ms: first; 40 ms: second; 80 ms: third
		wg.Wait()
		if want := []int{0, 1, 2}; !slices.Equal(served, want) {
			t.Errorf("served %v, want %v", served, want)
		}
		if d := time.Since(start); d != 120*time.Millisecond {
			t.Errorf("took %v, want 120ms", d)
		}
	})
}

func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, 1, bulkhead.WithQueue(3, 100*time.Millisecond))
		held := allow(t, b)
		start := time.Now()
		_, err := b.Allow(t.Context())
		if e, ok := errors.AsType[*resilience.RejectedError](err); !ok || e.Reason != "no slot in time" {
			t.Errorf("got %v, want a refusal: no slot in time", err)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("waited %v, want 100ms", d)
		}
		held.Done()
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejections := 0
		b := newBulkhead(t, 1, bulkhead.WithQueue(3, time.Second), bulkhead.WithObserver(resilience.Observer{
			Rejected: func(context.Context, *resilience.RejectedError) { rejections++ },
		}))
		held := allow(t, b)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, ctxutil.ErrCallerDeadline)
		defer cancel()
		start := time.Now()
		_, err := b.Allow(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ctxutil.ErrCallerDeadline) || errors.Is(err, resilience.ErrOverloaded) {
			t.Errorf("got %v, want the caller's deadline", err)
		}
		if got, want := err.Error(), `bulkhead "payment": gave up waiting: ctxutil: caller's deadline exceeded`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if d := time.Since(start); d != 30*time.Millisecond {
			t.Errorf("waited %v, want 30ms", d)
		}
		if rejections != 0 {
			t.Errorf("told of %d refusals, want none", rejections)
		}
		held.Done()
	})
}

func TestDoGivesTheSlotBack(t *testing.T) {
	b := newBulkhead(t, 1)
	wrong := errors.New("wrong")
	if err := b.Do(t.Context(), func(context.Context) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the call's error", err)
	}
	for _, f := range []func(context.Context) error{
		func(context.Context) error { panic("boom") },
		func(context.Context) error { runtime.Goexit(); return nil },
	} {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { _ = recover() }()
			_ = b.Do(t.Context(), f)
		}()
		wg.Wait()
		if n := b.Snapshot().InFlight; n != 0 {
			t.Fatalf("%d in flight, want 0", n)
		}
	}
	held := allow(t, b)
	defer held.Done()
	if err := b.Do(t.Context(), func(context.Context) error { t.Error("called"); return nil }); err == nil {
		t.Error("not refused")
	}
}

func TestBadValues(t *testing.T) {
	for _, tc := range []struct {
		name string
		max  int
		opt  bulkhead.Option
		want string
	}{
		{"", 1, bulkhead.Options(), `bulkhead: name "": must not be empty`},
		{"a", 0, bulkhead.Options(), "bulkhead: max 0: must be at least 1"},
		{"a", 1, bulkhead.WithQueue(-1, time.Second), "bulkhead: queue -1: must not be negative"},
		{"a", 1, bulkhead.WithQueue(1, 0), "bulkhead: queue wait 0s: must be positive"},
		{"a", -1, bulkhead.WithQueue(1, -1), "bulkhead: max -1: must be at least 1\nbulkhead: queue wait -1ns: must be positive"},
	} {
		if _, err := bulkhead.New(tc.name, tc.max, tc.opt); err == nil || err.Error() != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}
