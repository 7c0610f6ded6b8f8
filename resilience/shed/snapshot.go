// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"math"
	"time"
)

// Snapshot is what a shedder knows at one moment, for metrics and debug pages.
type Snapshot struct {
	Name string
	// Limit is how many normal calls may be under way at once, and InFlight how
	// many calls are.
	Limit, InFlight int
	// Admitted and Shed are how many calls there were so far, by priority.
	Admitted, Shed Counts
	// Latency is the mean of the last window; 0 before the first.
	Latency time.Duration
	// Unloaded is the latency without waiting; 0 if it is not known yet.
	Unloaded time.Duration
	// Probing says that the limit is low for a moment in order to measure Unloaded.
	Probing bool
	CPU     CPUUsage
}

// CPUUsage is what a shedder knows of the CPU.
type CPUUsage struct {
	// Enabled is false after [WithoutCPU].
	Enabled bool
	// Known says whether Usage is: not before the second reading, nor after one
	// that failed.
	Known bool
	// Usage is the fraction in use, smoothed.
	Usage float64
	// Cores and Source are those of the last reading.
	Cores  float64
	Source string
	// Limit is how many calls the CPU allows; 0 if it sets no limit now.
	Limit int
	// Err is why there is no reading; nil if there is, or was none yet.
	Err error
}

// Counts are numbers of calls by priority.
type Counts [numPriorities]uint64

// Of returns the number of calls with priority p.
func (c Counts) Of(p Priority) uint64 { return c[p.rank()] }

// Total returns the number of calls.
func (c Counts) Total() uint64 {
	var sum uint64
	for _, n := range c {
		sum += n
	}
	return sum
}

// Snapshot returns the present limit and the counts.
func (s *Shedder) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{
		Name:     s.name,
		Limit:    s.limit,
		InFlight: s.inFlight,
		Admitted: s.admitted,
		Shed:     s.shed,
		Latency:  duration(s.est.latency),
		Unloaded: duration(s.est.base),
		Probing:  s.est.probing,
		CPU:      s.cpu.snapshot(),
	}
}

func (c *cpuLimiter) snapshot() CPUUsage {
	u := CPUUsage{Enabled: c.cfg.cpu, Known: c.known, Usage: c.usage, Cores: c.last.Cores, Source: c.last.Source, Err: c.err}
	if !math.IsInf(c.limit, 1) {
		u.Limit = int(c.limit)
	}
	return u
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
