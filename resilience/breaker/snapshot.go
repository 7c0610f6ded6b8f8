// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// Snapshot is what a breaker knows at one moment, for metrics and debug pages.
type Snapshot struct {
	// Name is the downstream service.
	Name  string
	State resilience.State
	// Forced says that an operator decided on the state.
	Forced bool
	// Since is when the state began; for one that is half-open without having been
	// asked yet, when it opened.
	Since time.Time
	// OpenFor is how long the breaker will still be open; 0 unless it is open, or
	// if it is forced open.
	OpenFor time.Duration
	// Successes and Failures are the calls that count: in the window while closed,
	// and the probes while half-open.
	Successes, Failures int
	// Slow is how many calls of the window were too slow, while closed.
	Slow int
	// Probes is the number of probes under way.
	Probes int
	// Trips is how often the breaker opened by itself.
	Trips uint64
	// LastTrip is the last time it did; zero if it never did.
	LastTrip resilience.StateChange
}

// Snapshot returns the present state and counts.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.gb.State() // lets the window slide
	counts := b.gb.Counts()
	s := Snapshot{
		Name:      b.name,
		State:     b.stateAt(now),
		Forced:    b.forced,
		Since:     b.since,
		Successes: int(counts.TotalSuccesses),
		Failures:  int(counts.TotalFailures),
		Probes:    len(b.probes),
		Trips:     b.trips,
	}
	if b.last != nil {
		s.LastTrip = *b.last
	}
	if b.cfg.slow && b.state == resilience.StateClosed {
		b.slow.slide()
		s.Slow = b.slow.sum.slow
	}
	if s.State == resilience.StateOpen && !s.Forced {
		s.OpenFor = b.openUntil.Sub(now)
	}
	return s
}
