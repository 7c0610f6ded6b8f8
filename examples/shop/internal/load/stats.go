// SPDX-License-Identifier: Apache-2.0

package load

import (
	"maps"
	"sync"
	"time"
)

// Outcome is how a request ended, as its customer sees it.
type Outcome string

// The outcomes.
const (
	OK            Outcome = "ok"
	Degraded      Outcome = "degraded"
	ClientFault   Outcome = "client fault"
	OutOfStock    Outcome = "out of stock"
	Declined      Outcome = "declined"
	Deadline      Outcome = "deadline"
	Canceled      Outcome = "canceled"
	ServerFault   Outcome = "server fault"
	Unavailable   Outcome = "unavailable"
	UnknownMethod Outcome = "unknown method"
	UnknownPath   Outcome = "unknown path"
	NoAnswer      Outcome = "no answer"
	LostIdentity  Outcome = "lost identity"
)

// Result is one request as its customer saw it.
type Result struct {
	Scenario string
	Outcome  Outcome
	// Expected says whether the scenario was meant to end like that.
	Expected bool
	// TraceID is what the answer said; empty if there was none.
	TraceID  string
	Duration time.Duration
}

// Snapshot is the state of a run at one moment.
type Snapshot struct {
	// Started and Done count requests.
	Started, Done int
	// Start is when the first request began; zero if there was none.
	Start time.Time
	// Elapsed is the time since then.
	Elapsed time.Duration
	// P50 and P99 are quantiles of the latency of all requests that were
	// answered, at most 2% too high.
	P50, P99 time.Duration
	// Outcomes counts the requests by how they ended.
	Outcomes map[Outcome]int
	// Unexpected counts the requests that did not end as their scenario meant
	// them to, and the last one is LastUnexpected.
	Unexpected     int
	LastUnexpected Result
	// Slowest is the slowest request that was answered, and Failed the slowest
	// that ended in a server fault. Both are zero if there was none.
	Slowest, Failed Result
}

// Rate returns the requests done per second.
func (s Snapshot) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Done) / s.Elapsed.Seconds()
}

// Stats collects results. Make it with [NewStats]. It is safe for concurrent use.
type Stats struct {
	latencies latencies

	mu    sync.Mutex
	start time.Time
	end   time.Time // of the run; zero while it lasts
	snap  Snapshot
}

// NewStats returns empty statistics.
func NewStats() *Stats {
	return &Stats{snap: Snapshot{Outcomes: make(map[Outcome]int)}}
}

// Snapshot returns the state of the run.
func (s *Stats) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.snap
	out.Outcomes, out.Start = maps.Clone(s.snap.Outcomes), s.start
	switch {
	case s.start.IsZero():
	case s.end.IsZero():
		out.Elapsed = time.Since(s.start)
	default:
		out.Elapsed = s.end.Sub(s.start)
	}
	out.P50, out.P99 = s.latencies.quantile(0.50), s.latencies.quantile(0.99)
	return out
}

func (s *Stats) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.IsZero() {
		s.start = time.Now()
	}
	s.snap.Started++
}

func (s *Stats) done(r Result) {
	answered := r.Outcome != Canceled && r.Outcome != NoAnswer
	if answered {
		s.latencies.observe(r.Duration)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Done++
	s.snap.Outcomes[r.Outcome]++
	if !r.Expected {
		s.snap.Unexpected++
		s.snap.LastUnexpected = r
	}
	if r.TraceID == "" {
		return
	}
	if answered && r.Duration > s.snap.Slowest.Duration {
		s.snap.Slowest = r
	}
	if r.Outcome == ServerFault && r.Duration > s.snap.Failed.Duration {
		s.snap.Failed = r
	}
}

func (s *Stats) finished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = time.Now()
}
