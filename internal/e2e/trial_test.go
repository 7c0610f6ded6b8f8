// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// trial is a case of a test that takes real time, most of which is spent waiting.
// prepare builds what it needs, and run does the rest, on a goroutine of its own.
type trial struct {
	name    string
	prepare func(t *testing.T) (run func() *verdict)
}

// verdict is what is to be said of a trial, or of a case in virtual time.
type verdict struct {
	seen   []string
	faults []string
}

func (v *verdict) logf(format string, args ...any) {
	v.seen = append(v.seen, fmt.Sprintf(format, args...))
}

func (v *verdict) faultf(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// tell makes a test of it.
func (v *verdict) tell(t *testing.T) {
	t.Helper()
	for _, text := range v.seen {
		t.Log(text)
	}
	for _, text := range v.faults {
		t.Error(text)
	}
}

// Real time says nothing on a machine that stands still. Trials that fail while it did
// are made again; should it never be quiet, virtual time has to do.
const (
	standstill = 50 * time.Millisecond
	maxRounds  = 2
)

// together runs trials at the same time, and tells of each in a test of its own.
func together(t *testing.T, trials []trial) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes real time; the cases in virtual time do not")
	}
	verdicts, still := map[string]*verdict{}, time.Duration(0)
	for n, left := 0, trials; n < maxRounds && len(left) > 0; n++ {
		if still = round(t, left, verdicts); still <= standstill {
			break
		}
		left = slices.DeleteFunc(slices.Clone(left), func(tr trial) bool { return len(verdicts[tr.name].faults) == 0 })
		for _, tr := range left {
			t.Logf("%s, while the machine stood still for %v: %q", tr.name, still, verdicts[tr.name].faults)
		}
	}
	for _, tr := range trials {
		t.Run(tr.name, func(t *testing.T) {
			v := verdicts[tr.name]
			if len(v.faults) > 0 && still > standstill {
				t.Skipf("the machine stood still for %v: %q", still, v.faults)
			}
			v.tell(t)
		})
	}
}

// round runs trials once, and returns for how long the machine stood still meanwhile.
func round(t *testing.T, trials []trial, verdicts map[string]*verdict) (still time.Duration) {
	t.Helper()
	runs := make([]func() *verdict, len(trials))
	for i, tr := range trials {
		runs[i] = tr.prepare(t)
	}
	done, clock := make(chan struct{}), make(chan time.Duration)
	go func() { clock <- worstTick(done) }()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i, run := range runs {
		wg.Go(func() {
			v := run()
			mu.Lock()
			defer mu.Unlock()
			verdicts[trials[i].name] = v
		})
	}
	wg.Wait()
	close(done)
	return <-clock
}

// worstTick returns by how much the latest of a clock's ticks was late.
func worstTick(done <-chan struct{}) time.Duration {
	const every = 5 * time.Millisecond
	worst, last := time.Duration(0), time.Now()
	for tick := time.NewTicker(every); ; {
		select {
		case <-done:
			tick.Stop()
			return worst
		case <-tick.C:
			now := time.Now()
			worst, last = max(worst, now.Sub(last)-every), now
		}
	}
}
