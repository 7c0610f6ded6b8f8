// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestGoroutinesOldestAndLeaked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "leaks"
		r := newTraced(t)
		counted := counting(name)
		start := time.Now()
		var release [3]chan struct{}
		for i := range release {
			release[i] = make(chan struct{})
			ctxutil.Go(r, name, func(context.Context) error { <-release[i]; return nil }) // minds no cancellation
			time.Sleep(time.Minute)
		}
		started := uint64(3)
		check := func(when string, want ctxutil.GoroutineStats) {
			t.Helper()
			synctest.Wait()
			want.Name, want.Started = name, started
			if diff := cmp.Diff(want, counted()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		check("while the request runs", ctxutil.GoroutineStats{InFlight: 3, OldestStart: start})
		r.finish()
		check("after the request", ctxutil.GoroutineStats{InFlight: 3, Leaked: 3, OldestStart: start})
		close(release[1])
		check("without the middle", ctxutil.GoroutineStats{InFlight: 2, Leaked: 2, OldestStart: start})
		close(release[0])
		check("without the oldest", ctxutil.GoroutineStats{InFlight: 1, Leaked: 1, OldestStart: start.Add(2 * time.Minute)})
		close(release[2])
		check("when all have ended", ctxutil.GoroutineStats{})

		again := make(chan struct{})
		ctxutil.Go(newTraced(t), name, func(context.Context) error { <-again; return nil })
		started++
		check("with another", ctxutil.GoroutineStats{InFlight: 1, OldestStart: time.Now()})
		close(again)
		check("without it", ctxutil.GoroutineStats{})
	})
}

// Detached work is to outlive its request, but not its own deadline.
func TestGoroutinesDetachedLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		release := make(chan struct{})
		ctxutil.Detach(r, "detached-leak", time.Minute, func(context.Context) error { <-release; return nil })
		r.finish()
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if s := stats("detached-leak"); s.InFlight != 1 || s.Leaked != 0 {
			t.Errorf("before its deadline: %+v", s)
		}
		time.Sleep(1)
		synctest.Wait()
		if s := stats("detached-leak"); s.InFlight != 1 || s.Leaked != 1 {
			t.Errorf("after its deadline: %+v", s)
		}
		close(release)
		synctest.Wait()
		if s := stats("detached-leak"); s.InFlight != 0 || s.Leaked != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// The child of detached work has leaked when that has ended.
func TestGoroutinesChildOfDetachedLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, finish := ctxutil.Detached(newTraced(t), "parent", time.Minute)
		ctxutil.Go(ctx, "orphan", func(context.Context) error { <-release; return nil })
		if s := stats("orphan"); s.Leaked != 0 {
			t.Errorf("while its parent runs: %+v", s)
		}
		finish(nil)
		if s := stats("orphan"); s.Leaked != 1 {
			t.Errorf("after its parent: %+v", s)
		}
		close(release)
		synctest.Wait()
	})
}

func TestGoroutinesAreSorted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"sort-b", "sort-c", "sort-a"} {
			ctxutil.Go(t.Context(), name, func(context.Context) error { return nil })
		}
		synctest.Wait()
		all := ctxutil.Goroutines()
		if !slices.IsSortedFunc(all, func(a, b ctxutil.GoroutineStats) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("not sorted: %v", all)
		}
	})
}

func TestGoroutineNamesAreBounded(t *testing.T) {
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("order-%d", i)
	}
	tests := []struct {
		name         string
		names        []string
		apart, other int
	}{
		{"few", []string{"a", "b", "a"}, 2, 0},
		{"many", many, ctxutil.MaxGoroutineNames, len(many) - ctxutil.MaxGoroutineNames},
		{"known ones after many", append(slices.Clone(many), "order-0", "order-255"), ctxutil.MaxGoroutineNames, len(many) - ctxutil.MaxGoroutineNames},
		{"unfit for a label", []string{"", "a\nb", "\xff", strings.Repeat("x", 129), "\x1b[31m"}, 0, 5},
		{"the other's own name", []string{"_OTHER", ""}, 0, 2},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			apart, other := ctxutil.CountApart(tc.names...)
			if apart != tc.apart || other != tc.other {
				t.Errorf("%d names and %d others, want %d and %d", apart, other, tc.apart, tc.other)
			}
		})
	}
}

// Counting and reading at the same time; for the race detector.
func TestGoroutinesConcurrently(t *testing.T) {
	r := newTraced(t)
	counted := []func() ctxutil.GoroutineStats{counting("concurrent-0"), counting("concurrent-1")}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := fmt.Sprintf("concurrent-%d", i%2)
			for range 200 {
				g, _ := ctxutil.NewGroup(r, name)
				g.Go(func(context.Context) error { return nil })
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 200 {
			for _, s := range ctxutil.Goroutines() {
				if s.InFlight < 0 || s.Leaked > s.InFlight {
					t.Errorf("inconsistent: %+v", s)
				}
			}
		}
	})
	wg.Wait()
	for _, counts := range counted {
		if s := counts(); s.Started != 400 || s.InFlight != 0 || !s.OldestStart.IsZero() {
			t.Errorf("at the end: %+v", s)
		}
	}
}
