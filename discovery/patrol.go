// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Patrol looks after the servers of a registry, on a goroutine of its own: it asks for
// their state at an interval and says what is wrong with them, before callers and
// registrations get to feel it. Nothing waits for it, and nothing but its observers and
// its [Patrol.Check] depends on what it finds. Use [NewPatrol]. It is safe for
// concurrent use.
type Patrol struct {
	inspector Inspector
	cfg       patrolConfig
	cancel    context.CancelFunc
	wake      chan struct{}
	done      chan struct{} // closed when the loop has ended

	mu     sync.Mutex
	status PatrolStatus

	// What follows belongs to the loop.
	leader   string // the last one there was
	suspects map[findingKey]suspect
	findings map[findingKey]Finding
}

// PatrolStatus is what a patrol knows.
type PatrolStatus struct {
	// Cluster is the last answer there was, and At when it came; zero if none has.
	Cluster Cluster
	At      time.Time
	// Err is why there was no answer in the last round, if there was none.
	Err error
	// Findings is what is wrong, in the order of kinds and members.
	Findings []Finding
	// Rounds counts the rounds, FailedRounds those without an answer, and LeaderChanges
	// how often another member led than before.
	Rounds, FailedRounds, LeaderChanges uint64
	// LastRound is when the last round ended.
	LastRound time.Time
}

// PatrolRound is what one round of a patrol found.
type PatrolRound struct {
	// Cluster is the answer; zero if there is an Err.
	Cluster Cluster
	Err     error
	Took    time.Duration
	// Findings is what is wrong after this round, found in it or before.
	Findings []Finding
	// LeaderChanged says that another member leads than the last one that did.
	LeaderChanged bool
}

// NewPatrol begins to look after the servers of a registry. The first round begins at
// once; NewPatrol does not wait for it. It fails on values that make no sense; the error
// names each. Who makes a Patrol calls [Patrol.Close].
func NewPatrol(inspector Inspector, opts ...PatrolOption) (*Patrol, error) {
	if inspector == nil {
		return nil, errors.New("discovery: NewPatrol: nil inspector")
	}
	cfg, err := newPatrolConfig(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Patrol{
		inspector: inspector, cfg: cfg, cancel: cancel, wake: make(chan struct{}, 1), done: make(chan struct{}),
		suspects: map[findingKey]suspect{}, findings: map[findingKey]Finding{},
	}
	go p.run(ctx)
	return p, nil
}

// Status returns what the patrol knows.
func (p *Patrol) Status() PatrolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Check is a health check of the registry: it fails if something was found that
// [WithCritical] names, or if nothing is known. It asks nobody, and says what the last
// round found. Callers are served without a registry: do not make it one that fails
// readiness.
func (p *Patrol) Check(context.Context) error {
	st := p.Status()
	if st.Rounds == 0 {
		return errors.New("discovery: the servers of the registry were not asked yet")
	}
	var errs []error
	if silent := time.Since(st.LastRound); silent > 3*(p.cfg.interval+p.cfg.callTimeout) {
		errs = append(errs, fmt.Errorf("discovery: no round of the patrol for %v", silent.Round(time.Second)))
	}
	for _, f := range st.Findings {
		if p.cfg.critical[f.Kind] {
			errs = append(errs, fmt.Errorf("discovery: registry: %s", f))
		}
	}
	return errors.Join(errs...)
}

// Refresh begins a round now, or after the one that is under way.
func (p *Patrol) Refresh() { signal(p.wake) }

// Close ends the patrol and waits for that. It can be called twice. It must not be
// called by an observer.
func (p *Patrol) Close() error {
	p.cancel()
	<-p.done
	return nil
}

// run makes rounds until ctx ends.
func (p *Patrol) run(ctx context.Context) {
	defer close(p.done)
	for n := 1; ctx.Err() == nil; n++ {
		p.round(ctx)
		if p.cfg.sweep != nil && n%p.cfg.sweepEvery == 0 && ctx.Err() == nil {
			_, _ = p.cfg.sweep.Pass(ctx) // it tells its observer of the error
		}
		sleep(ctx, p.cfg.pace.spread(p.cfg.interval), p.wake)
	}
}

// round asks once and says what is new.
func (p *Patrol) round(ctx context.Context) {
	start := time.Now()
	limit := fmt.Errorf("discovery: the registry's servers have not answered within %v: %w", p.cfg.callTimeout, context.DeadlineExceeded)
	callCtx, cancel := context.WithTimeoutCause(ctx, p.cfg.callTimeout, limit)
	cluster, err := p.inspector.Inspect(callCtx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && callCtx.Err() != nil {
		err = context.Cause(callCtx)
	}
	cancel()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	r := PatrolRound{Cluster: cluster, Err: err, Took: now.Sub(start)}
	if err != nil {
		r.Cluster = Cluster{}
	} else if cluster.Leader != "" {
		r.LeaderChanged = p.leader != "" && p.leader != cluster.Leader
		p.leader = cluster.Leader
	}
	changes := p.settle(now, p.judge(r.Cluster, err), err != nil)
	r.Findings = p.listed()
	p.note(now, r)
	for _, c := range changes {
		observe.Tell(p.cfg.observer.FindingChanged, c)
	}
	observe.Tell(p.cfg.observer.PatrolDone, r)
}

func (p *Patrol) note(now time.Time, r PatrolRound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	s.Rounds++
	s.LastRound, s.Err, s.Findings = now, r.Err, r.Findings
	if r.LeaderChanged {
		s.LeaderChanges++
	}
	if r.Err != nil {
		s.FailedRounds++
		return
	}
	s.Cluster, s.At = r.Cluster, now
}

// suspect is something that was found in a number of rounds in a row.
type suspect struct {
	rounds int
	since  time.Time // the first of them
}

// settle makes findings of what was found in a round, and returns what changed. What
// the registry did not say this time is as it was.
func (p *Patrol) settle(now time.Time, found []Finding, blind bool) (changes []FindingChange) {
	seen := map[findingKey]bool{}
	for _, f := range found {
		k := f.key()
		if seen[k] {
			continue
		}
		seen[k] = true
		s := p.suspects[k]
		if s.rounds++; s.rounds == 1 {
			s.since = now
		}
		p.suspects[k] = s
		if s.rounds < f.Kind.rounds() {
			continue
		}
		f.Since = s.since
		if _, known := p.findings[k]; !known {
			changes = append(changes, FindingChange{Finding: f})
		}
		p.findings[k] = f
	}
	for k := range p.suspects {
		if seen[k] || blind && k.kind != FindingUnreachable {
			continue
		}
		delete(p.suspects, k)
		if f, known := p.findings[k]; known {
			delete(p.findings, k)
			changes = append(changes, FindingChange{Finding: f, Over: true, After: now.Sub(f.Since)})
		}
	}
	slices.SortFunc(changes, func(a, b FindingChange) int { return a.Finding.key().compare(b.Finding.key()) })
	return changes
}

// listed returns the findings in order.
func (p *Patrol) listed() []Finding {
	out := make([]Finding, 0, len(p.findings))
	for _, f := range p.findings {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Finding) int { return a.key().compare(b.key()) })
	return out
}

func (k findingKey) compare(o findingKey) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.member, o.member))
}
