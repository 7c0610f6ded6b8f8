// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// processor is CPU time as a shedder reads it. Work beyond the cores is not seen:
// the most that can be used is all.
type processor struct {
	mu    sync.Mutex
	cores float64
	want  time.Duration // asked for since the last reading
	used  time.Duration
	at    time.Time
	err   error
}

func (p *processor) burn(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want += d
}

func (p *processor) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *processor) read() (shed.CPUTime, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.at.IsZero() {
		p.used += min(p.want, time.Duration(now.Sub(p.at).Seconds()*p.cores*float64(time.Second)))
	}
	p.at, p.want = now, 0
	return shed.CPUTime{Used: p.used, Cores: p.cores, Source: "test"}, p.err
}

// TestShedsByCPU: calls take 100 ms however many there are, so that latency shows
// nothing, but each needs 10 ms of a CPU that has half a core.
func TestShedsByCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perCall, target = 10 * time.Millisecond, 0.8
		cpu := &processor{cores: 0.5}
		var s *shed.Shedder
		reasons := map[string]int{}
		s, err := shed.New("orders", shed.WithCPU(target, cpu.read), shed.WithObserver(resilience.Observer{
			Rejected: func(_ context.Context, e *resilience.RejectedError) { reasons[e.Reason]++ },
		}))
		if err != nil {
			t.Fatal(err)
		}
		offer := func(perSecond int, d time.Duration) (served int) {
			var wg sync.WaitGroup
			for end := time.Now().Add(d); time.Now().Before(end); {
				lease, err := s.Allow(t.Context(), shed.PriorityNormal)
				if err == nil {
					served++
					cpu.burn(perCall)
					wg.Go(func() {
						time.Sleep(100 * time.Millisecond)
						lease.Done(t.Context(), resilience.OutcomeOK)
					})
				}
				time.Sleep(time.Second / time.Duration(perSecond))
			}
			wg.Wait()
			return served
		}
		offer(150, 10*time.Second) // the CPU can do 50
		clear(reasons)
		served := offer(150, 60*time.Second)
		snap := s.Snapshot()
		t.Logf("%.1f calls/s of 50, usage %.2f, limit %d, by cpu %d", float64(served)/60, snap.CPU.Usage, snap.Limit, snap.CPU.Limit)
		if perSecond := served / 60; perSecond < 30 || perSecond > 50 {
			t.Errorf("%d calls/s, want about %v of 50", perSecond, target)
		}
		if snap.CPU.Limit == 0 || snap.CPU.Limit != snap.Limit {
			t.Errorf("limit %d, by CPU %d, want the same", snap.Limit, snap.CPU.Limit)
		}
		if reasons["cpu saturated"] == 0 || len(reasons) != 1 {
			t.Errorf("refused because %v, want the CPU only", reasons)
		}
		if u := snap.CPU; !u.Enabled || !u.Known || u.Cores != 0.5 || u.Source != "test" || u.Err != nil {
			t.Errorf("knows of the CPU %+v", u)
		}

		before := s.Snapshot().Shed.Total()
		offer(30, 20*time.Second)
		if u := s.Snapshot(); u.CPU.Limit != 0 || u.Shed.Total() != before {
			t.Errorf("at 30 calls/s: limit by CPU %d, %d shed; want none", u.CPU.Limit, u.Shed.Total()-before)
		}
	})
}

func TestCPUIsSampledAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		s, err := shed.New("orders", shed.WithCPUInterval(100*time.Millisecond), shed.WithCPU(0.9, func() (shed.CPUTime, error) {
			at = append(at, time.Since(start))
			return shed.CPUTime{Cores: 1}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			lease := allow(t, s, shed.PriorityNormal)
			time.Sleep(30 * time.Millisecond)
			lease.Release()
		}
		if len(at) != 13 || at[1] != 120*time.Millisecond {
			t.Errorf("%d readings, at %v; want 13, every 120ms", len(at), at)
		}
		time.Sleep(time.Hour)
		if len(at) != 13 {
			t.Errorf("%d readings without calls, want none", len(at)-13)
		}
	})
}

// TestWithoutReadingLatencyDecides: observers are told once that the CPU cannot be
// read, and once that it can.
func TestWithoutReadingLatencyDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpu := &processor{cores: 1}
		var told []resilience.Degradation
		s, err := shed.New("orders", shed.WithCPU(0.9, cpu.read), shed.WithObserver(resilience.Observer{
			Degraded: func(_ context.Context, e resilience.Degradation) { told = append(told, e) },
		}))
		if err != nil {
			t.Fatal(err)
		}
		calls := func(n int) {
			for range n {
				lease := allow(t, s, shed.PriorityNormal)
				time.Sleep(100 * time.Millisecond)
				lease.Done(t.Context(), resilience.OutcomeOK)
			}
		}
		calls(20)
		if len(told) != 0 || !s.Snapshot().CPU.Known {
			t.Fatalf("told of %v, CPU %+v", told, s.Snapshot().CPU)
		}
		broken := errors.New("broken")
		cpu.fail(broken)
		calls(20)
		if len(told) != 1 || told[0].Policy != resilience.PolicyShed || told[0].Name != "orders" || told[0].Since.IsZero() || !errors.Is(told[0].Err, broken) {
			t.Fatalf("told of %+v, want of one failure", told)
		}
		if u := s.Snapshot().CPU; u.Known || !errors.Is(u.Err, broken) {
			t.Errorf("knows of the CPU %+v", u)
		}
		cpu.fail(nil)
		calls(20)
		if len(told) != 2 || !told[1].Since.IsZero() || told[1].Err != nil {
			t.Errorf("told of %+v, want of one recovery", told)
		}
		if u := s.Snapshot().CPU; !u.Known || u.Err != nil {
			t.Errorf("knows of the CPU %+v", u)
		}
	})
}

// TestOwnCPU reads what is really there.
func TestOwnCPU(t *testing.T) {
	for name, read := range map[string]shed.CPUReader{"own": shed.OwnCPU, "machine": shed.MachineCPU} {
		a, err := read()
		if errors.Is(err, errors.ErrUnsupported) {
			t.Logf("%s: %v", name, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		}
		b, err := read()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s, %v of %v cores in 50 ms", name, b.Source, b.Used-a.Used, b.Cores)
		if a.Cores <= 0 || a.Source == "" || b.Used <= a.Used {
			t.Errorf("%s: %+v, then %+v", name, a, b)
		}
	}
}
