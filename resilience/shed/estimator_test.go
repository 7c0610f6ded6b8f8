// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// TestUnloadedLatencyFollows: while there is little to do, calls that become slower
// or faster are seen without a probe.
func TestUnloadedLatencyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 50
		srv, s := newServer(100, constant(10*time.Millisecond)), newShedder(t, shed.WithInitialLimit(limit))
		l := load{perSecond: 100, patience: time.Second}
		for _, service := range []time.Duration{10 * time.Millisecond, 60 * time.Millisecond, 10 * time.Millisecond} {
			srv.change(100, constant(service))
			run(t, srv, s, 1, 20*time.Second, l)
			got := s.Snapshot()
			if d := got.Unloaded - service; d.Abs() > service/10 {
				t.Errorf("unloaded latency %v, want about %v", got.Unloaded, service)
			}
			if got.Limit != limit || got.Shed.Total() != 0 {
				t.Errorf("limit %d, %d shed; want %d, 0", got.Limit, got.Shed.Total(), limit)
			}
		}
	})
}

// TestLongCallsAreSeen: half of the calls take 10 ms, half 250 ms, as long as a
// window and more than most of them have left of it.
func TestLongCallsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				lease := allow(t, s, shed.PriorityNormal)
				time.Sleep([]time.Duration{10 * time.Millisecond, 250 * time.Millisecond}[i%2])
				lease.Done(t.Context(), resilience.OutcomeOK)
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		if got, want := s.Snapshot().Latency, 130*time.Millisecond; (got - want).Abs() > want/10 {
			t.Errorf("mean latency %v, want about %v", got, want)
		}
	})
}

// TestProbeDrainsWithoutRefusingWhatMatters: when the limit is halved, as many calls
// as before are under way for a moment. Critical calls do not suffer for that, and
// normal ones wait for it to pass.
func TestProbeDrainsWithoutRefusingWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, service = 8, 50 * time.Millisecond
		ctx := t.Context()
		var s *shed.Shedder
		halved := false
		s = newShedder(t, shed.WithInitialLimit(limit), shed.WithMinLimit(1), shed.WithWindow(100*time.Millisecond, 1),
			shed.WithObserver(resilience.Observer{LimitChanged: func(_ context.Context, e resilience.LimitChange) {
				if halved || e.To != limit/2 {
					return
				}
				halved = true
				if got := s.Snapshot(); !got.Probing || got.InFlight != limit-1 {
					t.Errorf("%d under way, probing %v; want %d, true", got.InFlight, got.Probing, limit-1)
				}
				refused(t, s, shed.PriorityNormal)
				var leases []shed.Lease
				for range limit + limit/2 - (limit - 1) {
					leases = append(leases, allow(t, s, shed.PriorityCritical))
				}
				refused(t, s, shed.PriorityCritical)
				for i := range leases {
					leases[i].Release()
				}
				time.Sleep(service) // the others end
				leases = leases[:0]
				for range limit/2 + limit/4 {
					leases = append(leases, allow(t, s, shed.PriorityCritical))
				}
				refused(t, s, shed.PriorityCritical)
				for i := range leases {
					leases[i].Release()
				}
			}}))
		var wg sync.WaitGroup
		for i := range limit {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				for !halved {
					lease, err := s.Allow(ctx, shed.PriorityNormal)
					if err != nil {
						return
					}
					time.Sleep(service)
					lease.Done(ctx, resilience.OutcomeOK)
				}
			})
		}
		wg.Wait()
		if !halved {
			t.Error("there was no probe")
		}
	})
}
