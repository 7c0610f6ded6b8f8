// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		a, b, c := newDependency(nil), newDependency(nil), newDependency(nil)
		add(t, s, "a", a.check)
		add(t, s, "b", b.check, health.WithInterval(2*sec))
		add(t, s, "c", func(ctx context.Context) error { // its runs do not push each other back
			defer time.Sleep(300 * ms)
			return c.check(ctx)
		})
		d := newDependency(nil)
		add(t, s, "d", func(ctx context.Context) error { // one that takes all of its time is left alone for a while
			defer time.Sleep(950 * ms)
			return d.check(ctx)
		}, health.WithInterval(sec))
		s.Start()
		s.Start() // does nothing
		time.Sleep(10*sec + 500*ms)
		for name, tc := range map[string]struct {
			d    *dependency
			want []time.Duration
		}{
			"a": {a, []time.Duration{0, 5 * sec, 10 * sec}},
			"b": {b, []time.Duration{10 * ms, 2*sec + 10*ms, 4*sec + 10*ms, 6*sec + 10*ms, 8*sec + 10*ms, 10*sec + 10*ms}},
			"d": {d, []time.Duration{30 * ms, 1180 * ms, 2330 * ms, 3480 * ms, 4630 * ms, 5780 * ms, 6930 * ms, 8080 * ms, 9230 * ms, 10380 * ms}},
			"c": {c, []time.Duration{20 * ms, 5*sec + 20*ms, 10*sec + 20*ms}},
		} {
			if got := tc.d.times(); !slices.Equal(got, tc.want) {
				t.Errorf("%s ran at %v, want %v", name, got, tc.want)
			}
		}
		if got := result(t, s, "c"); got.Latency != 300*ms || got.State != health.StateOK || !got.At.Equal(time.Now().Add(-180*ms)) {
			t.Errorf("c: %+v", got)
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t, health.WithJitter(0.2))
		d := newDependency(nil)
		add(t, s, "db", d.check)
		s.Start()
		time.Sleep(time.Hour)
		at := d.times()
		seen := map[time.Duration]bool{}
		for i := range len(at) - 1 {
			pause := at[i+1] - at[i]
			if pause < 4*sec || pause > 5*sec {
				t.Fatalf("%v between two runs, want 4s to 5s", pause)
			}
			seen[pause.Round(100*ms)] = true
		}
		if len(seen) != 11 {
			t.Errorf("%d different pauses, to a tenth of a second, want all 11", len(seen))
		}
	})
}

// TestNobodyRunsChecks: those who ask get what is known, however many they are.
func TestNobodyRunsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		d := newDependency(nil)
		add(t, s, "db", d.check)
		s.Start()
		synctest.Wait()
		readyz := s.Readyz()
		for range 1000 {
			get(t, readyz, "/readyz")
			_ = s.Check(t.Context())
			_ = s.Results()
		}
		if got := d.times(); len(got) != 1 {
			t.Errorf("%d runs after 1000 probes, want 1", len(got))
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		add(t, s, "redis", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		add(t, s, "db", passes)
		s.Start()
		time.Sleep(sec)
		synctest.Wait()
		got := result(t, s, "redis")
		if got.State != health.StateTimeout || got.Latency != sec || got.Passing || got.Failures != 1 {
			t.Errorf("redis: %+v, want a timeout after 1s", got)
		}
		if got := result(t, s, "db"); got.State != health.StateOK || !got.At.Equal(time.Now().Add(-990*ms)) {
			t.Errorf("db waited for redis: %+v", got)
		}
	})
}

// TestStuck: a check that ignores its context has one goroutine, whatever happens, and
// runs again once it has returned.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		let, runs := make(chan struct{}), 0
		add(t, s, "nfs", func(context.Context) error { runs++; <-let; return nil })
		db := newDependency(nil)
		add(t, s, "db", db.check)
		s.Start()
		type step struct {
			at    time.Duration
			state health.State
			fails int
		}
		began := time.Now()
		for _, want := range []step{
			{sec - 1, health.StatePending, 0},
			{sec, health.StateTimeout, 1},
			{5*sec - 1, health.StateTimeout, 1},
			{5 * sec, health.StateStuck, 2},
			{10 * sec, health.StateStuck, 3},
			{time.Minute, health.StateStuck, 13},
		} {
			time.Sleep(time.Until(began.Add(want.at)))
			synctest.Wait()
			if got := result(t, s, "nfs"); got.State != want.state || got.Failures != want.fails {
				t.Errorf("at %v: %v, %d failures; want %v, %d", want.at, got.State, got.Failures, want.state, want.fails)
			}
		}
		if runs != 1 {
			t.Errorf("%d runs at the same time, want 1", runs)
		}
		if got := len(db.times()); got != 12 {
			t.Errorf("db ran %d times in a minute, want 12", got)
		}
		close(let)
		time.Sleep(5 * sec)
		synctest.Wait()
		if got := result(t, s, "nfs"); got.State != health.StateOK || !got.Passing || runs != 2 {
			t.Errorf("after it returned: %+v, %d runs; want ok, 2", got, runs)
		}
	})
}

// TestCloseDoesNotWaitForStuck, for more than a second.
func TestCloseDoesNotWaitForStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		defer close(let)
		s := exact(t)
		add(t, s, "nfs", func(context.Context) error { <-let; return nil })
		add(t, s, "db", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		s.Start()
		time.Sleep(500 * ms)
		began := time.Now()
		s.Close()
		s.Close()
		if got := time.Since(began); got != sec {
			t.Errorf("Close took %v, want 1s", got)
		}
		if err := s.Add("late", passes); err == nil {
			t.Error("a closed set takes a check")
		}
	})
}

// TestCloseWaits for what is late, too, if it heeds that it is canceled.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		returned := false
		add(t, s, "nfs", func(context.Context) error { time.Sleep(3 * sec); returned = true; return nil })
		s.Start()
		time.Sleep(2500 * ms)
		began := time.Now()
		s.Close()
		if got := time.Since(began); got != 500*ms || !returned {
			t.Errorf("Close took %v, want 500ms", got)
		}
	})
}

// TestStale: results that should be newer are no good: the process does not get round to
// its checks.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		s := exact(t, health.WithObserver(health.Observer{Ran: func(r health.Result) {
			if r.Name == "db" {
				<-let // an observer that blocks stands for all that may hold a goroutine up
			}
		}}))
		add(t, s, "db", passes)
		add(t, s, "redis", passes, health.Optional)
		s.Start()
		time.Sleep(5*sec + 2*5*sec + sec) // due, two intervals, the time-out
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("stale too early: %v", err)
		}
		time.Sleep(1)
		err := s.Check(t.Context())
		if want := "health: failing: db: stale (health: not run when it was due: the process does not get round to it)"; err == nil || err.Error() != want {
			t.Errorf("Check: %v, want %s", err, want)
		}
		if got := result(t, s, "db"); got.State != health.StateStale || got.Passing || !got.Since.Equal(time.Now().Add(-1)) {
			t.Errorf("db: %+v, want stale", got)
		}
		if got := result(t, s, "redis").State; got != health.StateOK {
			t.Errorf("redis is %v, want ok", got)
		}
		close(let)
		time.Sleep(ms)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("after the scheduler is back: %v", err)
		}
	})
}

func TestPanicsAndExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		add(t, s, "panic", func(context.Context) error { panic("boom") })
		add(t, s, "exit", func(context.Context) error { t.SkipNow(); return nil })
		s.Start()
		time.Sleep(sec)
		for name, want := range map[string]string{"panic": `health: check "panic" panicked: boom`, "exit": `health: check "exit" ended its goroutine`} {
			if got := result(t, s, name); got.State != health.StateError || got.Err.Error() != want {
				t.Errorf("%s: %v, %v; want %s", name, got.State, got.Err, want)
			}
		}
	})
}
