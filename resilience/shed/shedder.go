// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// Shedder limits the calls under way to what it finds the process has capacity
// for. Use [New]; the zero Shedder is invalid. It is safe for concurrent use and
// needs no closing.
type Shedder struct {
	name string
	cfg  config

	// mu guards all below. Nothing of the user's runs under it.
	mu       sync.Mutex
	est      estimator
	cpu      cpuLimiter
	inFlight int
	limit    int                // the smaller of the two limits
	caps     [numPriorities]int // what each priority may use of it
	draining bool               // caps are more generous until est.drained
	told     int                // the limit that observers know
	admitted Counts
	shed     Counts
}

var (
	errNoName  = errors.New(`shed: name "": must not be empty`)
	errNoCores = errors.New("shed: cpu reader: no cores")
)

// New returns a shedder of that name, as it shall appear in labels, events and
// errors. It fails on values that make no sense.
func New(name string, opts ...Option) (*Shedder, error) {
	if name == "" {
		return nil, errNoName
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s := &Shedder{name: name, cfg: cfg, told: cfg.initial}
	s.est = newEstimator(&s.cfg, now)
	s.cpu = newCPULimiter(&s.cfg)
	s.setCaps(now)
	return s, nil
}

// Name returns the shedder's name.
func (s *Shedder) Name() string { return s.name }

// Priority returns the priority of a call of method: that of its context, see
// [ContextWithPriority], or else what [WithPriorities] says.
func (s *Shedder) Priority(ctx context.Context, method string) Priority {
	if p, ok := PriorityFrom(ctx); ok {
		return p
	}
	return s.cfg.priority(ctx, method)
}

// Do calls f if there is capacity for it and reports how it ended, by the
// classifier of [WithClassifier]. A refusal is a [*resilience.RejectedError]. If f
// panics or calls runtime.Goexit, its place is free again and it does not count.
func (s *Shedder) Do(ctx context.Context, p Priority, f func(context.Context) error) error {
	lease, err := s.Allow(ctx, p)
	if err != nil {
		return err
	}
	defer lease.Release()
	err = f(ctx)
	lease.Done(ctx, s.cfg.classify(ctx, err))
	return err
}

// Allow asks for the capacity for one call. If there is, the [Lease] has to be
// reported or released, also if the call panics: a lease that never is takes its
// place for ever.
//
// If not, the error is a [*resilience.RejectedError] that matches
// [resilience.ErrOverloaded]. A priority that is none of the constants is
// [PriorityNormal].
func (s *Shedder) Allow(ctx context.Context, p Priority) (Lease, error) {
	rank, now := p.rank(), time.Now()
	s.mu.Lock()
	sample := s.cpu.due(now)
	if s.draining && !now.Before(s.est.drained) {
		s.setCaps(now)
	}
	admitted := s.inFlight < s.caps[rank]
	byCPU := s.cpu.binds(s.est.limit)
	if admitted {
		s.inFlight++
		s.admitted[rank]++
		s.est.admitted(s.inFlight)
		s.cpu.admitted(s.inFlight)
	} else {
		s.shed[rank]++
	}
	news := s.news()
	s.mu.Unlock()

	if sample {
		go s.sampleCPU()
	}
	s.tell(ctx, news)
	if !admitted {
		return Lease{}, s.reject(ctx, byCPU)
	}
	return Lease{shedder: s, start: now, idle: p == PriorityHealth}, nil
}

// The reasons of refusals. They may reach peers.
const (
	reasonLatency = "overloaded"
	reasonCPU     = "cpu saturated"
)

// reject makes a refusal and tells of it.
func (s *Shedder) reject(ctx context.Context, byCPU bool) error {
	e := &resilience.RejectedError{Policy: resilience.PolicyShed, Name: s.name, Reason: reasonLatency}
	if byCPU {
		e.Reason = reasonCPU
	}
	if d := s.cfg.retryAfter; d > 0 {
		e.RetryAfter = d + rand.N(d)
	}
	if s.cfg.observer.Rejected != nil {
		s.cfg.observer.Rejected(ctx, e)
	}
	return e
}

// setCaps computes what follows from the limits. It requires mu.
func (s *Shedder) setCaps(now time.Time) {
	n := int(min(s.est.limit, s.cpu.limit))
	// When a probe halves the limit, more calls than that are under way. For as long
	// as they need to end, they are no reason to refuse what matters.
	s.draining = now.Before(s.est.drained)
	most := n
	if s.draining {
		most = int(min(s.est.before.limit, s.cpu.limit))
	}
	s.limit = n
	s.caps = [numPriorities]int{
		max(1, n*3/4),         // sheddable
		n,                     // normal
		most + max(1, most/2), // critical
		most + max(2, most),   // health
	}
}

// news is what there is to tell observers.
type news struct {
	limit resilience.LimitChange
	cpu   *resilience.Degradation
}

// news returns what observers do not know yet. It requires mu.
func (s *Shedder) news() news {
	n := news{cpu: s.cpu.degradation}
	if s.limit != s.told {
		n.limit = resilience.LimitChange{Policy: resilience.PolicyShed, Name: s.name, From: s.told, To: s.limit}
	}
	s.told, s.cpu.degradation = s.limit, nil
	return n
}

// tell tells it.
func (s *Shedder) tell(ctx context.Context, n news) {
	if f := s.cfg.observer.LimitChanged; f != nil && n.limit.To != n.limit.From {
		f(ctx, n.limit)
	}
	if f := s.cfg.observer.Degraded; f != nil && n.cpu != nil {
		n.cpu.Policy, n.cpu.Name = resilience.PolicyShed, s.name
		f(ctx, *n.cpu)
	}
}
