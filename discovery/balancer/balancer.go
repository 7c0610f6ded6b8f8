// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Balancer chooses endpoints for calls. Make one with [New], tell it of instances with
// [Balancer.Update], or of endpoints with [Balancer.Edit], and ask with [Balancer.Pick].
// It is safe for concurrent use, owns no goroutine and needs not be closed.
type Balancer struct {
	config
	base time.Time
	snap atomic.Pointer[snapshot]
	// none counts picks for which there was no endpoint.
	none  atomic.Uint64
	turns [2]turn

	mu        sync.Mutex
	endpoints map[key]*Endpoint
	ordered   []*Endpoint // in the order in which they came
	set       *discovery.Set
	started   bool  // there was an update
	changed   bool  // groups are to be made anew
	interval  int64 // when endpoints are next compared
	rated     int64 // when total was taken
	total     uint64
	sample    uint64
	ejected   int
	zoneShare float64 // as the observer knows it
	counts    counts
	events    []func()
}

// New returns a balancer without endpoints.
func New(opts ...Option) (*Balancer, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	b := &Balancer{config: c, base: time.Now(), endpoints: map[key]*Endpoint{}}
	for i := range b.turns {
		b.turns[i].n.Store(rand.Uint64()) // callers that start together begin with different ones
	}
	now := b.now()
	b.interval, b.rated = now+int64(c.eject.interval), now
	b.rebuild(now)
	return b, nil
}

// now returns the time since the balancer was made: never 0, and monotonic.
func (b *Balancer) now() int64 { return int64(time.Since(b.base)) + 1 }

// Update makes the balancer use these instances, or a subset of them. Endpoints whose id
// and address are among them keep their state; no pick that begins after it returns is
// of another. Those that are failing are left out.
func (b *Balancer) Update(set *discovery.Set) {
	b.Edit(func(e *Edit) {
		set := set
		if b.subsetting {
			set = discovery.SetOf(Subset(set.All(), b.subset, b.client))
		}
		diff := set.Diff(b.set)
		b.set = set
		for _, in := range diff.Removed {
			e.drop(in)
		}
		for _, c := range diff.Changed {
			e.replace(c.From, c.To)
		}
		for _, in := range diff.Added {
			e.take(in)
		}
	})
}

// Edit changes single endpoints: for adapters that know more of them than there is in an
// instance. The changes take effect together when it returns. The function must not call
// the balancer otherwise than by its argument. A balancer is changed by Edit or by
// [Balancer.Update], not by both.
func (b *Balancer) Edit(change func(*Edit)) {
	b.mu.Lock()
	defer b.unlock()
	e := &Edit{b: b}
	change(e)
	e.commit()
}

// All returns the endpoints, those included that are out of picks.
func (b *Balancer) All() iter.Seq[*Endpoint] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Values(slices.Clone(b.ordered))
}

// unlock unlocks, and tells the observer what happened.
func (b *Balancer) unlock() {
	events := b.events
	b.events = nil
	b.mu.Unlock()
	for _, tell := range events {
		tell()
	}
}

// note has an observer's function called after the lock is released, if there is one.
func note[E any](b *Balancer, f func(E), e E) {
	if f != nil {
		b.events = append(b.events, func() { f(e) })
	}
}

// From this many endpoints on, what happens to single ones is gathered for a microsecond
// each, so that many that connect together cost a few snapshots and not one each. What goes
// out is out at once, all the same: that is a flag.
const manyEndpoints = 256

// touch has groups made anew before the next pick, or a little later.
func (b *Balancer) touch() {
	b.changed = true
	s := b.snap.Load()
	next := int64(0)
	if n := len(b.ordered); n >= manyEndpoints {
		next = s.made + int64(n)*int64(time.Microsecond)
	}
	s.next.Store(min(s.next.Load(), next))
}

// refresh makes a new snapshot, unless somebody else is about to.
func (b *Balancer) refresh() *snapshot {
	if b.mu.TryLock() {
		b.rebuild(b.now())
		b.unlock()
	}
	return b.snap.Load()
}

// current returns a snapshot that is up to date.
func (b *Balancer) current() *snapshot {
	b.mu.Lock()
	b.rebuild(b.now())
	b.unlock()
	return b.snap.Load()
}
