// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"math"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed/internal/cputime"
)

// CPUTime is a reading of CPU time.
type CPUTime struct {
	// Used is the CPU time used since some fixed moment.
	Used time.Duration
	// Cores is how much there is to be used, in cores: 0.5 is half of one.
	Cores float64
	// Source says what was read, for people: "cgroup v2", "process".
	Source string
}

// CPUReader reads CPU time. It is called from a goroutine of its own, never by two
// at once for the same shedder.
type CPUReader func() (CPUTime, error)

// OwnCPU reads what this process may use and does: of its control group if that has
// a quota (Linux, cgroup v2 and v1), or else of the process itself, with GOMAXPROCS
// cores. Where neither can be read, the error matches [errors.ErrUnsupported].
func OwnCPU() (CPUTime, error) { return reading(cputime.Own()) }

// MachineCPU reads the CPU time of all processes of the machine or the container's
// host from /proc/stat (Linux; elsewhere the error matches
// [errors.ErrUnsupported]): for a process that shares the machine with nothing but
// what it depends on. Time stolen by a hypervisor counts as used.
func MachineCPU() (CPUTime, error) { return reading(cputime.Machine()) }

func reading(r cputime.Reading, err error) (CPUTime, error) {
	return CPUTime{Used: r.Used, Cores: r.Cores, Source: r.Source}, err
}

const (
	// usageWeight is the weight of a new sample in the share of the CPU in use.
	usageWeight = 0.5
	// cpuDown is by what a sample above the target multiplies the limit, and cpuUp
	// what one below it does, besides adding one call.
	cpuDown, cpuUp = 0.9, 1.05
)

// cpuLimiter limits calls by the CPU that is in use: additive increase,
// multiplicative decrease. It is guarded by its shedder's lock.
type cpuLimiter struct {
	cfg *config
	// limit is infinite unless the CPU is, or just was, saturated.
	limit float64
	peak  int // most calls under way at once since the last sample

	next     time.Time // sample; zero before the first call
	sampling bool
	at       time.Time // of the last reading; zero if it failed
	last     CPUTime
	usage    float64 // a fraction; smoothed
	known    bool    // usage is
	err      error
	// degradation is news for observers: reading failed, or succeeds again.
	degradation *resilience.Degradation
}

func newCPULimiter(cfg *config) cpuLimiter { return cpuLimiter{cfg: cfg, limit: math.Inf(1)} }

// binds reports whether the CPU allows fewer calls than limit.
func (c *cpuLimiter) binds(limit float64) bool { return c.limit < limit }

// admitted notes how many calls are under way.
func (c *cpuLimiter) admitted(inFlight int) { c.peak = max(c.peak, inFlight) }

// due reports whether the caller has to take a sample.
func (c *cpuLimiter) due(now time.Time) bool {
	if !c.cfg.cpu || c.sampling || now.Before(c.next) {
		return false
	}
	c.sampling = true
	c.next = now.Add(c.cfg.cpuInterval)
	return true
}

// sampleCPU reads the CPU time outside of the lock: reading a control group's can
// take milliseconds on a large machine.
func (s *Shedder) sampleCPU() {
	t, err := s.cfg.cpuReader()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cpu.sample(t, err, now, s.est.limit)
	s.cpu.peak = s.inFlight
	s.setCaps(now)
}

// sample takes a reading, beside the limit that latency sets.
func (c *cpuLimiter) sample(t CPUTime, err error, now time.Time, limit float64) {
	c.sampling = false
	if err == nil && !(t.Cores > 0) {
		err = errNoCores
	}
	if err != nil {
		c.fail(err, now)
		return
	}
	if c.err != nil {
		c.err, c.degradation = nil, &resilience.Degradation{}
	}
	last, elapsed := c.last, now.Sub(c.at)
	first := c.at.IsZero()
	c.last, c.at = t, now
	if first || elapsed <= 0 || t.Used < last.Used || t.Source != last.Source {
		return
	}
	share := (t.Used - last.Used).Seconds() / (elapsed.Seconds() * t.Cores)
	if !c.known {
		c.usage, c.known = share, true
	}
	c.usage += usageWeight * (share - c.usage)
	c.decide(limit)
}

// decide moves the limit after a sample.
func (c *cpuLimiter) decide(limit float64) {
	if c.usage > c.cfg.cpuTarget {
		c.limit = max(min(c.limit, limit, float64(c.peak))*cpuDown, float64(c.cfg.min))
		return
	}
	if c.limit = c.limit*cpuUp + 1; c.limit >= limit {
		c.limit = math.Inf(1)
	}
}

// fail goes on without the CPU.
func (c *cpuLimiter) fail(err error, now time.Time) {
	if c.err == nil {
		c.degradation = &resilience.Degradation{Since: now, Err: err}
	}
	c.err, c.limit, c.at, c.usage, c.known = err, math.Inf(1), time.Time{}, 0, false
}
