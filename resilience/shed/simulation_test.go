// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience/shed"
)

// overload is three times what srv can do of calls that take service, whose callers
// wait a second.
func overload(workers int, service time.Duration) (load, float64) {
	capacity := float64(workers) / service.Seconds()
	return load{perSecond: 3 * capacity, patience: time.Second}, capacity
}

// watch calls f and returns the median of the limits meanwhile.
func watch(s *shed.Shedder, f func()) int {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	var limits []int
	for {
		select {
		case <-done:
			slices.Sort(limits)
			return limits[len(limits)/2]
		case <-time.After(100 * time.Millisecond):
			limits = append(limits, s.Snapshot().Limit)
		}
	}
}

// TestFindsTheLimit offers servers of known capacity three times as much. The best
// limit is the number of workers, and a little for there always to be a next call.
func TestFindsTheLimit(t *testing.T) {
	const service = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		name    string
		workers int
		service func() time.Duration
		most    float64       // times the workers
		p99     time.Duration // bound for the admitted; unloaded it is 50, 230 and 275 ms
	}{
		{"1 worker, constant", 1, constant(service), 1.6, 6 * service},
		{"4 workers, constant", 4, constant(service), 1.6, 4 * service},
		{"32 workers, constant", 32, constant(service), 1.6, 2 * service},
		{"128 workers, constant", 128, constant(service), 1.6, 2 * service},
		{"4 workers, exponential", 4, exponential(service, random), 1.8, 500 * time.Millisecond},
		{"32 workers, exponential", 32, exponential(service, random), 1.8, 350 * time.Millisecond},
		{"128 workers, exponential", 128, exponential(service, random), 1.8, 350 * time.Millisecond},
		{"32 workers, bimodal", 32, bimodal(service, random), 1.8, 350 * time.Millisecond},
		{"128 workers, bimodal", 128, bimodal(service, random), 1.8, 350 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if raceEnabled && tc.workers > 100 {
				t.Skip("too many goroutines for the race detector")
			}
			synctest.Test(t, func(t *testing.T) {
				srv, s := newServer(tc.workers, tc.service), newShedder(t, shed.WithMinLimit(1))
				l, capacity := overload(tc.workers, service)
				run(t, srv, s, 1, 15*time.Second, l)
				var r result
				limit := watch(s, func() { r = run(t, srv, s, 2, 60*time.Second, l)[0] })
				t.Logf("limit %d for %d workers, goodput %.1f%% of capacity, p99 of admitted %v, %d of %d shed",
					limit, tc.workers, 100*r.goodput()/capacity, r.quantile(0.99), r.shed, r.offered)
				if low, high := tc.workers, int(tc.most*float64(tc.workers))+4; limit < low || limit > high {
					t.Errorf("limit %d, want from %d to %d", limit, low, high)
				}
				if r.goodput() < 0.9*capacity {
					t.Errorf("goodput %.1f/s, want at least 90%% of %.1f/s", r.goodput(), capacity)
				}
				if p := r.quantile(0.99); p > tc.p99 {
					t.Errorf("p99 of the admitted is %v, want at most %v", p, tc.p99)
				}
			})
		})
	}
}

// TestWithoutSheddingItCollapses is the same overload without a shedder: the server
// works all the time, for callers who have gone.
func TestWithoutSheddingItCollapses(t *testing.T) {
	const workers, service = 32, 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		l, capacity := overload(workers, service)
		r := run(t, newServer(workers, constant(service)), nil, 2, 60*time.Second, l)[0]
		t.Logf("goodput %.1f%% of capacity, p99 %v", 100*r.goodput()/capacity, r.quantile(0.99))
		if r.goodput() > 0.1*capacity {
			t.Errorf("goodput %.1f/s of %.1f/s: the load is no overload", r.goodput(), capacity)
		}
	})
}

// TestRefusesNothingBelowCapacity: nine tenths of what the server can do are no
// overload.
func TestRefusesNothingBelowCapacity(t *testing.T) {
	const workers, service = 32, 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		srv, s := newServer(workers, constant(service)), newShedder(t)
		l := load{perSecond: 0.9 * workers / service.Seconds(), patience: time.Second}
		run(t, srv, s, 1, 10*time.Second, l)
		r := run(t, srv, s, 2, 60*time.Second, l)[0]
		t.Logf("limit %d, %d of %d shed", s.Snapshot().Limit, r.shed, r.offered)
		if r.shed > r.offered/100 {
			t.Errorf("%d of %d shed, want at most 1%%", r.shed, r.offered)
		}
	})
}

// TestFollowsTheCapacity changes the server under a load that is always too much.
func TestFollowsTheCapacity(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		srv, s := newServer(32, constant(50*ms)), newShedder(t)
		l := load{perSecond: 2500, patience: time.Second}
		for i, phase := range []struct {
			name    string
			workers int
			service time.Duration
			settle  time.Duration
			most    float64 // times the workers
		}{
			{"as it begins", 32, 50 * ms, 10 * time.Second, 1.6},
			{"three quarters of the workers gone", 8, 50 * ms, 5 * time.Second, 2},
			{"eight times the workers", 64, 50 * ms, 5 * time.Second, 1.6},
			{"half the workers", 32, 50 * ms, 5 * time.Second, 1.6},
			{"every call takes twice as long", 32, 100 * ms, 5 * time.Second, 1.6},
			{"and half as long, seen in part", 32, 50 * ms, 5 * time.Second, 2.5},
			{"and whole after the next probe", 32, 50 * ms, 20 * time.Second, 1.6},
			{"every call takes ten times as long", 32, 500 * ms, 35 * time.Second, 1.6},
			{"and is as before", 32, 50 * ms, 35 * time.Second, 1.6},
		} {
			srv.change(phase.workers, constant(phase.service))
			run(t, srv, s, uint64(2*i), phase.settle, l)
			var r result
			limit := watch(s, func() { r = run(t, srv, s, uint64(2*i+1), 10*time.Second, l)[0] })
			capacity := float64(phase.workers) / phase.service.Seconds()
			t.Logf("%s: limit %d for %d workers, unloaded %v, goodput %.1f%%", phase.name, limit, phase.workers, s.Snapshot().Unloaded, 100*r.goodput()/capacity)
			if low, high := phase.workers, int(phase.most*float64(phase.workers)); limit < low || limit > high {
				t.Errorf("%s: limit %d, want from %d to %d", phase.name, limit, low, high)
			}
			if r.goodput() < 0.9*capacity {
				t.Errorf("%s: goodput %.1f/s, want at least 90%% of %.1f/s", phase.name, r.goodput(), capacity)
			}
		}
	})
}

// TestDependencyGetsSlow: calls that do not wait for each other, but for something
// else that has become slow, are not an overload. The limit has to recover.
func TestDependencyGetsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := newServer(10_000, constant(20*time.Millisecond)), newShedder(t)
		l := load{perSecond: 500, patience: 10 * time.Second}
		run(t, srv, s, 1, 20*time.Second, l)
		srv.change(10_000, constant(200*time.Millisecond))
		run(t, srv, s, 2, 15*time.Second, l)
		r := run(t, srv, s, 3, 10*time.Second, l)[0]
		t.Logf("limit %d for about 100 calls at once, %d of %d shed", s.Snapshot().Limit, r.shed, r.offered)
		if r.shed > r.offered/50 {
			t.Errorf("%d of %d shed, want at most 2%%", r.shed, r.offered)
		}
	})
}

// TestPrioritiesAreShedInOrder: what matters is served whole while there is three
// times too much of the rest.
func TestPrioritiesAreShedInOrder(t *testing.T) {
	const workers, service = 32, 50 * time.Millisecond
	const capacity = workers * float64(time.Second/service)
	synctest.Test(t, func(t *testing.T) {
		srv, s := newServer(workers, constant(service)), newShedder(t)
		of := func(p shed.Priority, share float64) load {
			return load{perSecond: share * capacity, priority: p, patience: time.Second}
		}
		for _, tc := range []struct {
			name  string
			loads []load // by priority, from sheddable to health
			// shed are the least and the most of each that is refused, as shares.
			shed [4][2]float64
		}{
			{
				"everything but critical is too much",
				[]load{of(shed.PrioritySheddable, 1), of(shed.PriorityNormal, 1.5), of(shed.PriorityCritical, 0.4), of(shed.PriorityHealth, 0.1)},
				[4][2]float64{{0.95, 1}, {0.4, 0.7}, {0, 0.003}, {0, 0.001}},
			},
			{
				"sheddable is too much",
				[]load{of(shed.PrioritySheddable, 2.5), of(shed.PriorityNormal, 0.3), of(shed.PriorityCritical, 0.1), of(shed.PriorityHealth, 0.1)},
				[4][2]float64{{0.6, 0.9}, {0, 0.01}, {0, 0.001}, {0, 0.001}},
			},
			{
				"critical alone is too much",
				[]load{of(shed.PrioritySheddable, 0.5), of(shed.PriorityNormal, 0.4), of(shed.PriorityCritical, 2), of(shed.PriorityHealth, 0.1)},
				[4][2]float64{{0.99, 1}, {0.95, 1}, {0.3, 0.7}, {0, 0.005}},
			},
		} {
			run(t, srv, s, 1, 15*time.Second, tc.loads...)
			total, line := 0.0, ""
			for i, r := range run(t, srv, s, 2, 60*time.Second, tc.loads...) {
				share := float64(r.shed) / float64(r.offered)
				total += r.goodput()
				line += fmt.Sprintf(" %v %.2f%%", tc.loads[i].priority, 100*share)
				if share < tc.shed[i][0] || share > tc.shed[i][1] {
					t.Errorf("%s: %.2f%% of %v shed, want %v%% to %v%%", tc.name, 100*share, tc.loads[i].priority, 100*tc.shed[i][0], 100*tc.shed[i][1])
				}
			}
			t.Logf("%s: shed%s; goodput %.1f%%", tc.name, line, 100*total/capacity)
			if total < 0.9*capacity {
				t.Errorf("%s: goodput %.1f/s, want at least 90%% of %.1f/s", tc.name, total, capacity)
			}
		}
	})
}

// TestLimitOneStarvesNobody: with room for a single call, every priority gets its
// turn as long as the server has time.
func TestLimitOneStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(1, constant(50*time.Millisecond))
		s := newShedder(t, shed.WithMinLimit(1), shed.WithMaxLimit(1), shed.WithInitialLimit(1))
		var loads []load
		for p := shed.PrioritySheddable; p <= shed.PriorityHealth; p++ {
			loads = append(loads, load{perSecond: 3, priority: p, patience: time.Second})
		}
		for i, r := range run(t, srv, s, 1, 60*time.Second, loads...) {
			t.Logf("%v: %d of %d served", loads[i].priority, r.served, r.offered)
			if r.served < r.offered/4 {
				t.Errorf("%v: %d of %d served, want a quarter", loads[i].priority, r.served, r.offered)
			}
		}
	})
}
