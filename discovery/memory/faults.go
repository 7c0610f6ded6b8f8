// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// ErrAway is what a registry that was switched off by [Faults.Down] answers, and what
// watches get that [Faults.Cut] cuts.
var ErrAway = errors.New("memory: the registry is away")

// faults is what is wrong at the moment. It is guarded by the registry's lock.
type faults struct {
	down    bool
	hangs   bool
	hidden  bool
	lingers bool
	latency time.Duration
	cluster *discovery.Cluster // as Inspect returns it; nil for what is so
	changed chan struct{}      // closed when any of it changes
}

// Faults makes a registry behave badly. It is safe for concurrent use.
type Faults struct{ registry *Registry }

// Faults returns what makes the registry behave badly.
func (r *Registry) Faults() Faults { return Faults{r} }

func (f Faults) set(change func(*faults)) {
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.faults)
	close(r.faults.changed)
	r.faults.changed = make(chan struct{})
}

// Down makes every call fail with [ErrAway], those under way included, or ends that.
// Times to live go on meanwhile.
func (f Faults) Down(down bool) { f.set(func(s *faults) { s.down = down }) }

// Hang makes calls wait until their context ends, those under way included, or ends
// that.
func (f Faults) Hang(hang bool) { f.set(func(s *faults) { s.hangs = hang }) }

// Slow makes calls take d longer; a watch that waits already is not slower. 0 ends it.
func (f Faults) Slow(d time.Duration) { f.set(func(s *faults) { s.latency = d }) }

// Hide makes the registry list nothing, though it knows what it knows, or ends that.
func (f Faults) Hide(hide bool) {
	f.set(func(s *faults) { s.hidden = hide })
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		s.changed(slices.Collect(maps.Keys(s.entries))...)
	}
}

// Forget makes the registry lose all registrations.
func (f Faults) Forget() {
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	for q, s := range r.services {
		for id := range s.entries {
			r.remove(discovery.Key{Namespace: q.Namespace, Service: q.Service, ID: id})
		}
	}
}

// Cut makes all watches fail once with [ErrAway].
func (f Faults) Cut() {
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		for src := range s.sources {
			src.cut = ErrAway
			src.signal()
		}
	}
}

// Put stores text under the name of a service, as whatever else writes to a registry
// may: if it makes no valid instance of that service, watches report it as malformed.
func (f Faults) Put(q discovery.Query, key string, text []byte) {
	in, err := discovery.DecodeInstance(text)
	if err == nil && !q.Owns(&in) {
		err = discovery.ErrForeignNamespace
	}
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.put(&in, putTTL)
		return
	}
	s := r.service(q)
	s.malformed[key] = malformed{discovery.Malformed{Key: key, Err: err}, discovery.IsPayload(text), r.next()}
	s.changed()
}

// putTTL is the time to live of what did not come from a registration.
const putTTL = time.Hour

// gate is what stands before each call: the faults.
func (r *Registry) gate(ctx context.Context) error {
	r.mu.Lock()
	latency := r.faults.latency
	r.mu.Unlock()
	if latency > 0 {
		t := time.NewTimer(latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	for {
		f := r.present()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.down:
			return ErrAway
		case !f.hangs:
			return nil
		}
		select {
		case <-f.changed:
		case <-ctx.Done():
		}
	}
}

func (r *Registry) present() faults {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}
