// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// MaxGoroutineNames is how many names [Goroutines] keeps apart; work under any
// further name is counted as "_OTHER".
const MaxGoroutineNames = 256

// maxGoroutineNameBytes is the length past which a name counts as "_OTHER".
const maxGoroutineNameBytes = 128

// GoroutineStats is what this package knows about the work of one name: started
// by [Go], [Group.Go], [Gather], [Pool.Submit], [Detach] or [Detached], or
// opened from an [Envelope]. Counts are since the process started.
type GoroutineStats struct {
	// Name is the name the work was given, or "_OTHER".
	Name string
	// Started counts work begun. A task in the queue of a [Pool] has not.
	Started uint64
	// Panics counts work that panicked.
	Panics uint64
	// Errors counts work that returned an error or ended by runtime.Goexit;
	// panics and cancellations are not among them.
	Errors uint64
	// Canceled counts work that returned context.Canceled after its context was
	// canceled.
	Canceled uint64
	// InFlight is how much work is running now.
	InFlight int
	// Leaked is how much of InFlight should be over: its request has finished
	// or, for work with a deadline of its own, its context has ended.
	Leaked int
	// OldestStart is when the longest-running work in flight began; zero if
	// there is none.
	OldestStart time.Time
}

// Goroutines returns the counts of all names used so far, sorted by name. The
// counts of one name are consistent with each other. It is meant for metrics: a
// call takes time in proportion to the work in flight. Safe for concurrent use.
func Goroutines() []GoroutineStats {
	all := goroutines.all()
	stats := make([]GoroutineStats, 0, len(all))
	for _, c := range all {
		stats = append(stats, c.stats())
	}
	slices.SortFunc(stats, func(a, b GoroutineStats) int { return strings.Compare(a.Name, b.Name) })
	return stats
}

// goroutines is the accounting of this process: it only counts, and nobody can
// change it but by doing work.
var goroutines goroutineRegistry

// goroutineRegistry finds the counters of a name. Names are few and soon all
// known, so readers share a map that is replaced, not changed.
type goroutineRegistry struct {
	byName atomic.Pointer[map[string]*goroutineCounters]
	mu     sync.Mutex // held to replace byName
	other  goroutineCounters
}

// counters returns the counters of name. A known name costs no allocation.
func (r *goroutineRegistry) counters(name string) *goroutineCounters {
	if known := r.byName.Load(); known != nil {
		if c, ok := (*known)[name]; ok {
			return c
		}
		if len(*known) >= MaxGoroutineNames {
			return &r.other
		}
	}
	return r.add(name)
}

func (r *goroutineRegistry) add(name string) *goroutineCounters {
	if name == semconv.Other || !isGoroutineName(name) {
		return &r.other
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*goroutineCounters{}
	if known := r.byName.Load(); known != nil {
		if c, ok := (*known)[name]; ok {
			return c
		}
		if len(*known) >= MaxGoroutineNames {
			return &r.other
		}
		maps.Copy(next, *known)
	}
	c := &goroutineCounters{name: name}
	next[name] = c
	r.byName.Store(&next)
	return c
}

// all returns the counters of every name that was used.
func (r *goroutineRegistry) all() []*goroutineCounters {
	var all []*goroutineCounters
	if known := r.byName.Load(); known != nil {
		all = slices.Collect(maps.Values(*known))
	}
	if r.other.used() {
		all = append(all, &r.other)
	}
	return all
}

// isGoroutineName reports whether name can be a label value and tells something.
func isGoroutineName(name string) bool {
	return name != "" && len(name) <= maxGoroutineNameBytes && utf8.ValidString(name) &&
		strings.IndexFunc(name, unicode.IsControl) < 0
}

// goroutineCounters counts the work of one name. The work in flight is a list in
// the order of its start, so that the oldest is at hand and each can be asked
// whether it should be over; the lock is held for a few instructions.
type goroutineCounters struct {
	name string // "" is that of goroutineRegistry.other

	mu             sync.Mutex
	oldest, newest *work
	started        uint64
	inFlight       int
	ended          [len(endings)]uint64
}

// add counts w as started. w is read by stats from now on.
func (c *goroutineCounters) add(w *work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Read under the lock, so that the list is in the order of these times.
	w.since = time.Now()
	c.started++
	c.inFlight++
	w.older = c.newest
	if c.newest != nil {
		c.newest.newer = w
	} else {
		c.oldest = w
	}
	c.newest = w
}

// remove counts w as ended.
func (c *goroutineCounters) remove(w *work, how ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	c.ended[how]++
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		c.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		c.newest = w.older
	}
	w.older, w.newer = nil, nil
}

func (c *goroutineCounters) used() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started > 0
}

func (c *goroutineCounters) stats() GoroutineStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := GoroutineStats{
		Name:     c.name,
		Started:  c.started,
		Panics:   c.ended[panicked],
		Errors:   c.ended[failed],
		Canceled: c.ended[canceled],
		InFlight: c.inFlight,
	}
	if s.Name == "" {
		s.Name = semconv.Other
	}
	if c.oldest != nil {
		s.OldestStart = c.oldest.since
	}
	for w := c.oldest; w != nil; w = w.newer {
		if w.isLeaked() {
			s.Leaked++
		}
	}
	return s
}
