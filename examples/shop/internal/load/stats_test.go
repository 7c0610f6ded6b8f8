// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	var l latencies
	if got := l.quantile(0.5); got != 0 {
		t.Errorf("median of nothing = %v", got)
	}
	for i := range 1000 {
		l.observe(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := l.quantile(q); got < want || got > want*103/100 {
			t.Errorf("quantile %v = %v, want %v to 3%% more", q, got, want)
		}
	}
	l = latencies{}
	for _, d := range []time.Duration{-1, 0, time.Nanosecond, time.Hour} {
		l.observe(d) // neither panics nor is lost
	}
	if got := l.quantile(1); got < time.Minute {
		t.Errorf("largest = %v, want at least a minute", got)
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := NewStats(), time.Now()
		for _, r := range []Result{
			{Scenario: "a", Outcome: OK, Expected: true, TraceID: "1", Duration: time.Second},
			{Scenario: "b", Outcome: ServerFault, Expected: true, TraceID: "2", Duration: 20 * time.Millisecond},
			{Scenario: "b", Outcome: ServerFault, Expected: true, TraceID: "3", Duration: 10 * time.Millisecond},
			{Scenario: "c", Outcome: Canceled, Expected: true, TraceID: "4", Duration: time.Hour},
			{Scenario: "d", Outcome: NoAnswer, Duration: time.Hour},
		} {
			s.started()
			s.done(r)
		}
		s.started()
		time.Sleep(2 * time.Second)
		s.finished()
		time.Sleep(time.Minute)

		got := s.Snapshot()
		want := Snapshot{
			Started: 6, Done: 5, Start: start, Elapsed: 2 * time.Second, P50: got.P50, P99: got.P99,
			Outcomes:   map[Outcome]int{OK: 1, ServerFault: 2, Canceled: 1, NoAnswer: 1},
			Unexpected: 1, LastUnexpected: Result{Scenario: "d", Outcome: NoAnswer, Duration: time.Hour},
			Slowest: Result{Scenario: "a", Outcome: OK, Expected: true, TraceID: "1", Duration: time.Second},
			Failed:  Result{Scenario: "b", Outcome: ServerFault, Expected: true, TraceID: "2", Duration: 20 * time.Millisecond},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
		if got.P99 < time.Second || got.P99 > 1030*time.Millisecond {
			t.Errorf("p99 = %v, want one second: what was not answered does not count", got.P99)
		}
		if got.Rate() != 2.5 {
			t.Errorf("rate = %v, want 2.5/s", got.Rate())
		}
	})
}

func TestMixAddsUp(t *testing.T) {
	total := 0
	for _, s := range scenarios {
		total += s.weight
	}
	if total != 100 {
		t.Errorf("the weights add up to %d, want 100", total)
	}
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 10_000 {
		seen[pick(r).name]++
	}
	for _, s := range scenarios {
		if got, want := seen[s.name], s.weight*100; got < want*7/10 || got > want*13/10 {
			t.Errorf("%s was picked %d times of 10,000, want about %d", s.name, got, want)
		}
	}
}
