// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// tuner chooses the time to live within bounds.
type tuner struct {
	shortest, longest time.Duration
	pressure          func() float64
	slowness          float64 // smoothed: how much of its limit a heartbeat takes
	changedAt         time.Time
}

// Too small a change, or one too soon after the last, is not worth a registration.
const (
	tuneStep  = 0.25
	tuneEvery = time.Minute
)

// observe takes how long a heartbeat took, of the longest that it may.
func (t *tuner) observe(took, limit time.Duration) {
	t.slowness = 0.7*t.slowness + 0.3*min(float64(took)/float64(limit), 1)
}

// next returns the time to live that there should be, which is the present one unless
// it is time for another.
func (t *tuner) next(now time.Time, present time.Duration) time.Duration {
	if t.pressure == nil || now.Sub(t.changedAt) < tuneEvery {
		return present
	}
	p := max(min(t.pressure(), 1), t.slowness, 0)
	if math.IsNaN(p) {
		p = t.slowness
	}
	wanted := t.shortest + time.Duration(p*float64(t.longest-t.shortest)).Round(time.Second)
	wanted = min(wanted, t.longest)
	if math.Abs(float64(wanted-present)) < tuneStep*float64(present) && wanted != t.shortest || wanted == present {
		return present
	}
	t.changedAt = now
	return wanted
}

// MemoryPressure returns how near the process is to its memory limit (GOMEMLIMIT): 0
// up to half of it, 1 at the limit, and 0 if there is none. It takes some
// microseconds.
func MemoryPressure() float64 {
	limit := debug.SetMemoryLimit(-1)
	if limit <= 0 || limit == math.MaxInt64 {
		return 0
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	used := float64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
	return max(0, min(1, 2*used/float64(limit)-1))
}
