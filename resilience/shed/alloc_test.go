// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"testing"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	s, err := shed.New("orders")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		lease, err := s.Allow(ctx, s.Priority(ctx, "/orders.Orders/Get"))
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		lease.Done(ctx, resilience.OutcomeOK)
	}); n != 0 {
		t.Errorf("%v allocations for a call that is admitted, want 0", n)
	}
	full := fixed(t, 1)
	allow(t, full, shed.PriorityNormal)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := full.Allow(ctx, shed.PriorityNormal); err == nil {
			t.Fatal("admitted")
		}
	}); n != 1 {
		t.Errorf("%v allocations for a refusal, want 1", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	ctx := b.Context()
	call := func(b *testing.B, s *shed.Shedder) {
		lease, err := s.Allow(ctx, shed.PriorityNormal)
		if err != nil {
			b.Fatal(err)
		}
		lease.Done(ctx, resilience.OutcomeOK)
	}
	s, err := shed.New("orders", shed.WithInitialLimit(1000))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("admitted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			call(b, s)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b, s)
			}
		})
	})
	b.Run("refused", func(b *testing.B) {
		s := fixed(b, 1)
		allow(b, s, shed.PriorityNormal)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Allow(ctx, shed.PriorityNormal)
		}
	})
}
