// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

func wantCheck(t *testing.T, check health.Check, want string) {
	t.Helper()
	got := ""
	if err := check(t.Context()); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("Check: %q, want %q", got, want)
	}
}

func TestPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		db, late := newDependency(errDown), newDependency(errDown)
		add(t, s, "db", slowly(db.check))
		add(t, s, "metrics", newDependency(errDown).check, health.Optional)
		time.Sleep(time.Hour)
		wantCheck(t, s.Check, "health: starting: the set was not started: db: pending")
		s.Start()
		wantCheck(t, s.Check, "health: starting: db: pending")
		time.Sleep(2 * ms)
		wantCheck(t, s.Check, "health: starting: db: error (connection refused by 10.0.0.7)")
		db.set(nil)
		time.Sleep(5 * sec)
		synctest.Wait()
		wantCheck(t, s.Check, "") // although metrics fails
		add(t, s, "late", slowly(late.check))
		wantCheck(t, s.Check, "health: failing: late: pending")
		time.Sleep(2 * ms)
		late.set(nil)
		time.Sleep(5 * sec)
		synctest.Wait()
		wantCheck(t, s.Check, "")
		add(t, s, "later", passes, health.WithAssumedPassing())
		wantCheck(t, s.Check, "")
		s.Stop()
		wantCheck(t, s.Check, "health: draining")
		if got := s.Status(); got != health.StatusDraining || !s.Stopping() {
			t.Errorf("status %v after Stop", got)
		}
		s.Close()
		wantCheck(t, s.Check, "health: draining")
	})
}

// TestAssumption ends with the first run.
func TestAssumption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		add(t, s, "db", slowly(newDependency(errDown).check), health.WithAssumedPassing())
		b, err := s.Watch("consumer", 8*sec, health.WithAssumedPassing())
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if got := s.Status(); got != health.StatusReady {
			t.Errorf("before the first run: %v, want ready", got)
		}
		time.Sleep(2 * ms)
		wantCheck(t, s.Check, "health: failing: db: error (connection refused by 10.0.0.7)")
		b.Done()
	})
}

func TestUnreadyError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		add(t, s, "db", newDependency(errDown).check)
		add(t, s, "redis", newDependency(fmt.Errorf("dial: %w", context.DeadlineExceeded)).check)
		s.Start()
		time.Sleep(sec)
		err := s.Check(t.Context())
		unready, ok := errors.AsType[*health.UnreadyError](err)
		if !ok || len(unready.Results) != 2 || unready.Results[1].State != health.StateTimeout || !errors.Is(err, errDown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%#v", err)
		}
		if want := "health: starting: db: error (connection refused by 10.0.0.7); redis: timeout (dial: context deadline exceeded)"; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		db := newDependency(errDown)
		add(t, s, "db", db.check)
		s.Start()
		ctx, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		err := s.Ready(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errDown) {
			t.Errorf("Ready: %v, want the deadline and the reason", err)
		}
		db.set(nil)
		began := time.Now()
		if err := s.Ready(t.Context()); err != nil || time.Since(began) != 4*sec {
			t.Errorf("Ready: %v after %v, want nil after 4s", err, time.Since(began))
		}
		db.set(errDown)
		time.Sleep(10 * sec)
		time.AfterFunc(sec, s.Stop)
		began = time.Now()
		if err := s.Ready(t.Context()); err == nil || time.Since(began) != sec {
			t.Errorf("Ready: %v after %v, want an error when it is stopped", err, time.Since(began))
		}
	})
}

// TestSubscribe: told of everything that counts, at once, and of nothing after.
func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t, health.WithDamping(1, 1))
		db, cache := newDependency(nil), newDependency(nil)
		add(t, s, "db", db.check)
		add(t, s, "cache", cache.check, health.Optional)
		var seen []string
		cancel := s.Subscribe(func() {
			seen = append(seen, fmt.Sprint(s.Status(), " ", result(t, s, "cache").Passing))
		})
		s.Start()
		time.Sleep(7 * sec)
		cache.set(errDown)
		time.Sleep(5 * sec)
		db.set(errDown)
		time.Sleep(5 * sec)
		db.set(nil)
		time.Sleep(5 * sec)
		add(t, s, "late", slowly(passes))
		time.Sleep(2 * ms)
		s.Stop()
		cancel()
		cancel()
		add(t, s, "another", passes)
		want := "starting false, ready false, ready true, ready false, failing false, ready false, failing false, ready false, draining false"
		if got := strings.Join(seen, ", "); got != want {
			t.Errorf("told %s\nwant %s", got, want)
		}
	})
}

// TestSubscribersMayAsk: whoever is told may do anything but wait.
func TestSubscribersMayAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		var told atomic.Int32
		var cancel func()
		cancel = s.Subscribe(func() {
			told.Add(1)
			_ = s.Check(t.Context())
			_ = s.Results()
			_ = s.Add("another", passes)
			s.Stop()
			cancel()
			s.Subscribe(func() { told.Add(1) })
		})
		s.Start()
		synctest.Wait()
		if told.Load() < 2 || s.Status() != health.StatusDraining {
			t.Errorf("told %d times, %v", told.Load(), s.Status())
		}
	})
}

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t, health.WithDamping(1, 1))
		db, mail := newDependency(nil), newDependency(nil)
		add(t, s, "db", db.check)
		add(t, s, "mail", mail.check, health.Optional)
		b, err := s.Watch("loop", 8*sec, health.Vital)
		if err != nil {
			t.Fatal(err)
		}
		b.Pause()
		if _, err := s.Group("db", "queue"); err == nil || err.Error() != `health: Group: there is no check "queue": add it before` {
			t.Errorf("Group: %v", err)
		}
		group := func(names ...string) *health.Group {
			g, err := s.Group(names...)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		onDB, onMail, onNothing := group("db"), group("mail", "loop"), group()
		wantCheck(t, onDB.Check, "health: starting: the set was not started: db: pending; loop: pending")
		s.Start()
		time.Sleep(7 * sec)
		db.set(errDown)
		time.Sleep(4 * sec)
		wantCheck(t, onDB.Check, "health: failing: db: error (connection refused by 10.0.0.7)")
		wantCheck(t, onMail.Check, "")
		mail.set(errDown)
		db.set(nil)
		time.Sleep(5 * sec)
		wantCheck(t, onDB.Check, "")
		wantCheck(t, onMail.Check, "health: failing: mail: error (connection refused by 10.0.0.7)")
		wantCheck(t, onNothing.Check, "")
		b.Beat()
		time.Sleep(20 * sec)
		for _, g := range []*health.Group{onDB, onMail, onNothing} {
			if err := g.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "loop: stuck (no beat for 8s)") || g.Status() != health.StatusFailing {
				t.Errorf("%v, want what is vital in it", err)
			}
		}
		b.Done()
		wantCheck(t, onDB.Check, "")
		s.Stop()
		wantCheck(t, onDB.Check, "health: draining")
	})
}

func TestAddRefuses(t *testing.T) {
	s := exact(t)
	add(t, s, "db", passes)
	long := strings.Repeat("x", 65)
	for _, tc := range []struct {
		name  string
		check health.Check
		want  string
		opts  []health.Option
	}{
		{"db", passes, `health: Add "db": there is a check of that name already`, nil},
		{"status", passes, "reserved", nil},
		{"timestamp", passes, "reserved", nil},
		{"db_ping_ms", passes, `must not end in "_ping_ms"`, nil},
		{"", passes, "must be 1 to 64", nil},
		{long, passes, "must be 1 to 64", nil},
		{"a b", passes, "must be 1 to 64", nil},
		{"bäume", passes, "must be 1 to 64", nil},
		{"x", nil, "nil check", nil},
		{"x", passes, "WithTimeout: is 0s and must be positive", []health.Option{health.WithTimeout(0)}},
		{"x", passes, "WithTimeout: is 6s and must be at most the interval, 5s", []health.Option{health.WithTimeout(6 * sec)}},
		{"x", passes, "WithInterval: is -1ns and must be at least 1ms", []health.Option{health.WithInterval(-1)}},
		{"x", passes, "WithJitter: is 1 and must be at least 0 and less than 1", []health.Option{health.WithJitter(1)}},
		{"x", passes, "WithDamping: is 0 and must fail after at least 1", []health.Option{health.WithDamping(0, 1)}},
		{"x", passes, "WithDamping: is 33 and must pass after 1 to 32", []health.Option{health.WithDamping(1, 33)}},
		{"x", passes, "criticality: is vital and must be Critical or Optional", []health.Option{health.Vital}},
		{"x", nil, "nil check\nWithTimeout: is -1ns", []health.Option{health.WithTimeout(-1)}},
	} {
		if err := s.Add(tc.name, tc.check, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Add(%q): %v, want an error with %q", tc.name, err, tc.want)
		}
	}
	if got := len(s.Results()); got != 1 {
		t.Errorf("%d checks after all that was refused, want 1", got)
	}
	if _, err := health.NewSet(health.WithInterval(0), health.Vital); err == nil || !strings.Contains(err.Error(), "health: NewSet: WithInterval: is 0s") || !strings.Contains(err.Error(), "vital") {
		t.Errorf("NewSet: %v", err)
	}
	add(t, s, "quick", passes, health.WithInterval(100*ms)) // its time-out is that, too
}

// TestNobodyIsLeft: sets come and go.
func TestNobodyIsLeft(t *testing.T) {
	for range 1000 {
		s := exact(t)
		add(t, s, "db", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if _, err := s.Watch("loop", sec); err != nil {
			t.Fatal(err)
		}
		s.Start()
		s.Close()
	}
}
