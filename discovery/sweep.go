// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Sweep looks through the key space of a namespace for what should not be there, says
// what it found, and removes what is left over of this library's, if it is told to. A
// pass is made by who calls [Sweep.Pass], or by a patrol ([WithSweep]). Use [NewSweep].
// It is safe for concurrent use; passes are made one at a time.
//
// What it removes has been there in two passes, a confirm time apart or more, without
// anybody writing it in between; is marked as this library's; is in the sweep's
// namespace; and is expired, or never expires. What has a time to live goes by itself,
// if nobody keeps it up.
type Sweep struct {
	sweeper   Sweeper
	namespace Namespace
	cfg       sweepConfig

	passing sync.Mutex           // held by Pass, and guards what follows
	seen    map[string]*sighting // by key

	mu   sync.Mutex
	last SweepReport
}

// sighting is when a leftover was first found as it is.
type sighting struct {
	kind     LeftoverKind
	revision uint64
	since    time.Time
}

// NewSweep returns a sweep of a namespace, which is the process's own. It asks the
// registry nothing yet. It fails on values that make no sense; the error names each.
func NewSweep(sweeper Sweeper, namespace Namespace, opts ...SweepOption) (*Sweep, error) {
	if sweeper == nil {
		return nil, errors.New("discovery: NewSweep: nil sweeper")
	}
	cfg, cfgErr := newSweepConfig(opts)
	if err := errors.Join(namespace.Validate(), cfgErr); err != nil {
		return nil, err
	}
	return &Sweep{sweeper: sweeper, namespace: namespace, cfg: cfg, seen: map[string]*sighting{}}, nil
}

// SweepReport is what one pass found and did.
type SweepReport struct {
	Namespace Namespace
	// At is when the pass began, and Took how long it was.
	At   time.Time
	Took time.Duration
	// Entries is how many there are, those that are as they should be included.
	Entries int
	// Leftovers is what should not be there, in the order of kinds and keys.
	Leftovers []Leftover
	// Err is why the registry could not be looked through, if it could not.
	Err error
}

// Count returns how many leftovers of a kind were found, and how many were removed.
func (r *SweepReport) Count(kind LeftoverKind) (found, removed int) {
	for i := range r.Leftovers {
		if l := &r.Leftovers[i]; l.Kind == kind {
			found++
			if l.Removed {
				removed++
			}
		}
	}
	return found, removed
}

// Last returns the report of the last pass, which may be under way no more; zero if
// there was none.
func (s *Sweep) Last() SweepReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// maxRemovals bounds what one pass removes: a registry that a sweep is wrong about, or
// that has much to remove, is not to be emptied at once.
const maxRemovals = 100

// Pass looks through the namespace once. The error is that of looking: why something
// could not be removed is in the report.
func (s *Sweep) Pass(ctx context.Context) (SweepReport, error) {
	s.passing.Lock()
	defer s.passing.Unlock()
	start := time.Now()
	report := SweepReport{Namespace: s.namespace, At: start}
	entries, err := s.entries(ctx)
	if err != nil {
		report.Err = fmt.Errorf("discovery: sweep of %q: %w", string(s.namespace), err)
	} else {
		report.Entries = len(entries)
		report.Leftovers = leftovers(s.namespace, entries)
		s.sight(start, report.Leftovers)
		if s.cfg.removal {
			s.remove(ctx, start, report.Leftovers)
		}
	}
	report.Took = time.Since(start)
	s.mu.Lock()
	s.last = report
	s.mu.Unlock()
	observe.Tell(s.cfg.observer.SweepDone, report)
	return report, report.Err
}

func (s *Sweep) entries(ctx context.Context) (entries []Entry, err error) {
	err = s.call(ctx, func(ctx context.Context) (err error) {
		entries, err = s.sweeper.Entries(ctx, s.namespace)
		return err
	})
	return entries, err
}

// sight notes since when each is there as it is, and forgets what has gone.
func (s *Sweep) sight(now time.Time, found []Leftover) {
	seen := make(map[string]*sighting, len(found))
	for i := range found {
		l := &found[i]
		before := s.seen[l.Entry.Key]
		if before == nil || before.kind != l.Kind || before.revision != l.Entry.Revision {
			before = &sighting{l.Kind, l.Entry.Revision, now}
		}
		seen[l.Entry.Key] = before
		l.Since = before.since
	}
	s.seen = seen
}

// remove removes what may be removed.
func (s *Sweep) remove(ctx context.Context, now time.Time, found []Leftover) {
	removed := 0
	for i := range found {
		l := &found[i]
		if !l.removable(s.namespace) || now.Sub(l.Since) < s.cfg.confirm {
			continue
		}
		if removed++; removed > maxRemovals || ctx.Err() != nil {
			return
		}
		l.Err = s.call(ctx, func(ctx context.Context) error { return s.sweeper.Remove(ctx, l.Entry) })
		l.Removed = l.Err == nil
		if l.Removed {
			delete(s.seen, l.Entry.Key)
		}
	}
}

// call makes one call, with its time limit.
func (s *Sweep) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.callTimeout,
		fmt.Errorf("discovery: no answer within %v: %w", s.cfg.callTimeout, context.DeadlineExceeded))
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// leftovers returns what should not be among the entries of a namespace.
func leftovers(ns Namespace, entries []Entry) []Leftover {
	var out []Leftover
	addresses := map[place][]int{} // of what is as it should be
	for i := range entries {
		e := &entries[i]
		kind, wrong := classify(ns, e)
		if wrong {
			out = append(out, Leftover{Kind: kind, Entry: *e})
			continue
		}
		p := place{e.Instance.Service, e.Instance.Address}
		addresses[p] = append(addresses[p], i)
	}
	for _, same := range addresses {
		if len(same) < 2 {
			continue
		}
		for n, i := range same {
			other := same[(n+1)%len(same)]
			out = append(out, Leftover{Kind: LeftoverDuplicate, Entry: entries[i], Other: entries[other].Key})
		}
	}
	slices.SortFunc(out, compareLeftovers)
	return out
}

// place is where a service is reached.
type place struct{ service, address string }
