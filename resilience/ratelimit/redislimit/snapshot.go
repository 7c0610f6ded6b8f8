// SPDX-License-Identifier: Apache-2.0

package redislimit

import "time"

// Counts are numbers of calls so far, but for the last two.
type Counts struct {
	// Admitted were admitted by both limits.
	Admitted uint64
	// AdmittedAway were admitted by the token bucket alone, because Redis did not
	// answer or was away.
	AdmittedAway uint64
	// RefusedLocal were refused by the token bucket, RefusedShared by the window.
	RefusedLocal, RefusedShared uint64
	// Asked is how many requests to Redis there were, and Failed how many of them
	// were not answered.
	Asked, Failed uint64
}

// Snapshot is what a limiter knows at one moment, for metrics and debug pages.
type Snapshot struct {
	Name string
	// Limit is how many calls a key has in any Window.
	Limit  int
	Window time.Duration
	Counts Counts
	// Keys are remembered, of MaxKeys; Evicted were forgotten to make room.
	Keys, MaxKeys int
	Evicted       uint64
	// Away says that Redis, or a part of a cluster, does not answer, Since when, and
	// Err why. LastErr is the last failure of a request, also if it was the only one.
	Away    bool
	Since   time.Time
	Err     error
	LastErr error
}

// Snapshot returns the present state and counts.
func (l *Limiter) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Snapshot{
		Name:    l.name,
		Limit:   l.window.limit,
		Window:  l.cfg.window,
		Counts:  l.counts,
		Keys:    len(l.keys.entries),
		MaxKeys: l.cfg.maxKeys,
		Evicted: l.keys.evicted,
		Away:    l.away.parts > 0,
		Since:   l.away.since,
		Err:     l.away.err,
		LastErr: l.lastErr,
	}
}
