// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

func watch(t testing.TB, s *health.Set, name string, opts ...health.WatchOption) *health.Beat {
	t.Helper()
	b, err := s.Watch(name, 8*sec, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWatch: 8 seconds of silence, looked at every 2.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		b := watch(t, s, "consumer")
		s.Start()
		began := time.Now()
		at := func(d time.Duration, state health.State, passing bool) {
			t.Helper()
			time.Sleep(time.Until(began.Add(d)))
			synctest.Wait()
			if got := result(t, s, "consumer"); got.State != state || got.Passing != passing || !got.Watchdog || got.Latency != 0 {
				t.Errorf("at %v: %+v, want %v, passing %v", d, got, state, passing)
			}
		}
		at(2*sec, health.StatePending, false)
		b.Beat()
		at(4*sec-1, health.StatePending, false)
		at(4*sec, health.StateOK, true)
		time.Sleep(sec)
		b.Beat() // at 5 s, seen at 6 s
		at(14*sec-1, health.StateOK, true)
		at(14*sec, health.StateStuck, false)
		if err := s.Check(t.Context()); err == nil || err.Error() != "health: failing: consumer: stuck (no beat for 8s)" {
			t.Errorf("Check: %v", err)
		}
		if !s.Alive() {
			t.Error("not alive for the sake of what is critical only")
		}
		b.Beat()
		at(16*sec, health.StateOK, true)
		b.Pause()
		at(time.Hour, health.StateOK, true)
		b.Beat() // at 1 h, seen at 1 h 2 s
		at(time.Hour+10*sec-1, health.StateOK, true)
		at(time.Hour+10*sec, health.StateStuck, false)
		b.Done()
		b.Done()
		b.Beat()
		if got := s.Results(); len(got) != 0 {
			t.Errorf("results after Done: %v", got)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("Check after Done: %v", err)
		}
		watch(t, s, "consumer").Done() // the name is free
	})
}

func TestWatchNeverBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		watch(t, s, "consumer")
		s.Start()
		time.Sleep(8*sec - 1)
		synctest.Wait()
		if got := result(t, s, "consumer").State; got != health.StatePending {
			t.Errorf("just before the silence is over: %v, want pending", got)
		}
		time.Sleep(1)
		synctest.Wait()
		if got := result(t, s, "consumer").State; got != health.StateStuck {
			t.Errorf("after 8 s: %v, want stuck", got)
		}
	})
}

// TestWatchFlapping: each stop within twenty looks of the last doubles the beats that it
// takes.
func TestWatchFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		b := watch(t, s, "consumer")
		b.Beat()
		s.Start()
		for _, want := range []time.Duration{2 * sec, 4 * sec, 8 * sec, 16 * sec} {
			for s.Status() != health.StatusReady {
				time.Sleep(ms)
				b.Beat()
			}
			for s.Status() != health.StatusFailing {
				time.Sleep(ms)
			}
			stuck := time.Now()
			for s.Status() != health.StatusReady {
				b.Beat()
				time.Sleep(ms)
			}
			if got := time.Since(stuck).Round(10 * ms); got != want {
				t.Errorf("ready again after %v, want %v", got, want)
			}
		}
	})
}

func TestVital(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exact(t)
		add(t, s, "db", func(context.Context) error { return errDown })
		b := watch(t, s, "consumer", health.Vital)
		s.Start()
		livez := s.Livez()
		if code, body := get(t, livez, "/livez"); code != http.StatusOK || strings.Contains(body, "db") {
			t.Errorf("livez: %d %s", code, body)
		}
		b.Beat()
		time.Sleep(10*sec + 10*ms)
		synctest.Wait()
		if code, body := get(t, livez, "/livez"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"failing":["consumer"]`) || s.Alive() {
			t.Errorf("livez of a process that is stuck: %d %s", code, body)
		}
		b.Beat()
		time.Sleep(2 * sec)
		synctest.Wait()
		if code, body := get(t, livez, "/livez"); code != http.StatusOK {
			t.Errorf("livez after it goes on: %d %s", code, body)
		}
		s.Stop()
		if code, body := get(t, livez, "/livez"); code != http.StatusOK {
			t.Errorf("livez of a process that drains: %d %s", code, body)
		}
	})
}

func TestNilBeat(*testing.T) {
	var b *health.Beat
	b.Beat()
	b.Pause()
	b.Done()
}

func TestWatchRefuses(t *testing.T) {
	s := exact(t)
	for want, watch := range map[string]func() (*health.Beat, error){
		"the silence is 9ms and must be at least 10ms": func() (*health.Beat, error) { return s.Watch("a", 9*ms) },
		"the name must be 1 to 64":                     func() (*health.Beat, error) { return s.Watch("", sec) },
		"criticality: is 7":                            func() (*health.Beat, error) { return s.Watch("a", sec, health.Criticality(7)) },
	} {
		if _, err := watch(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}
