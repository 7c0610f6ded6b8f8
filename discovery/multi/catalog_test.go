// SPDX-License-Identifier: Apache-2.0

package multi_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/discovery/static"
)

func TestWatchSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 3 {
			r := w.registrar(t, n)
			defer deregister(t, r)
		}
		sub := w.subscribe(t)
		if err := sub.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		start := time.Now()
		w.primary.Faults().Down(true)
		lost := 0
		look := func(d time.Duration) {
			for range d / (50 * time.Millisecond) {
				time.Sleep(50 * time.Millisecond)
				lost += 3 - sub.Snapshot().Instances.Len()
			}
		}
		for sub.Snapshot().Origin != discovery.OriginFallback {
			time.Sleep(10 * time.Millisecond)
			if time.Since(start) > time.Minute {
				t.Fatal("not switched")
			}
		}
		if took := time.Since(start); took > 1200*time.Millisecond {
			t.Errorf("switched after %v, want 1.2s", took)
		}
		look(5 * time.Minute)
		w.want(t, 0, 3)
		w.primary.Faults().Down(false)
		look(2 * time.Minute)
		w.want(t, 3, 0)
		if s := sub.Snapshot(); s.Origin != discovery.OriginLive || s.Hold != discovery.HoldNone || s.Err != nil {
			t.Errorf("in the end: %+v", s)
		}
		if lost > 0 {
			t.Errorf("%d times an instance was missing", lost)
		}
		if _, _, cleaned := w.told(); len(cleaned) != 3 || errors.Join(cleaned...) != nil {
			t.Errorf("cleaned up: %v, want 3 entries", cleaned)
		}
	})
}

// next takes one update.
func next(t testing.TB, s discovery.Source, within time.Duration) (discovery.Update, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return s.Next(ctx)
}

// TestWatchMovesBackLast: registrations have a probe interval and the reconcile time.
func TestWatchMovesBackLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put(t, w.primary, 1)
		put(t, w.fallback, 2)
		w.primary.Faults().Down(true)
		s, err := w.backend.Watch(t.Context(), orders)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if u, err := next(t, s, 1200*time.Millisecond); err != nil || !u.Fallback || !u.Full || len(u.Put) != 1 {
			t.Fatalf("got %+v, %v", u, err)
		}
		w.primary.Faults().Down(false)
		if u, err := next(t, s, 29*time.Second); err == nil {
			t.Errorf("after less than the settle time: %+v", u)
		}
		if u, err := next(t, s, 2*time.Second); err != nil || u.Fallback || !u.Full || u.Put[0].ID != "order@10.0.0.1:80" {
			t.Errorf("got %+v, %v", u, err)
		}
	})
}

// TestFallbackFails: the primary is taken as soon as it answers, if the fallback does not.
func TestFallbackFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		put(t, w.primary, 1)
		w.primary.Faults().Down(true)
		s, err := w.backend.Watch(t.Context(), orders)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if u, err := next(t, s, 1200*time.Millisecond); err != nil || !u.Fallback {
			t.Fatalf("got %+v, %v", u, err)
		}
		w.fallback.Faults().Down(true)
		if u, err := next(t, s, time.Second); !errors.Is(err, memory.ErrAway) {
			t.Errorf("got %+v, %v", u, err)
		}
		w.primary.Faults().Down(false)
		if u, err := next(t, s, time.Second); err != nil || u.Fallback || !u.Full || len(u.Put) != 1 {
			t.Errorf("got %+v, %v", u, err)
		}
	})
}

// TestCatalogOnly: a list that somebody wrote down, for when the registry is away.
func TestCatalogOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		primary := memory.New()
		list, err := static.Parse("prod", "order=10.9.9.9:80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := multi.NewCatalog(primary, list)
		if err != nil {
			t.Fatal(err)
		}
		primary.Faults().Hang(true)
		watcher, err := discovery.NewWatcher(c, "prod", discovery.WithJitter(0))
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Close()
		sub, _ := watcher.Subscribe(orders, nil)
		start := time.Now()
		if err := sub.Ready(t.Context()); err != nil || time.Since(start) != 1100*time.Millisecond {
			t.Errorf("ready after %v: %v", time.Since(start), err)
		}
		if s := sub.Snapshot(); s.Origin != discovery.OriginFallback || s.Instances.Get("order@10.9.9.9:80") == nil {
			t.Errorf("got %+v", s)
		}
	})
}
