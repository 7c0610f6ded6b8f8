// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"context"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// Lease is the capacity for one call. It is reported with [Lease.Done] or given
// back with [Lease.Release]; the first of them counts and the rest does nothing, on
// the same variable and from whatever goroutine. A copy is not another lease. The
// zero Lease is one that nobody waits for.
type Lease struct {
	shedder *Shedder
	start   time.Time
	idle    bool // the call says nothing of how long calls take
	ended   bool // under shedder.mu
}

// Done reports how the call ended, and frees its place. What took how long since
// [Shedder.Allow] may move the limit, unless it was a call of [PriorityHealth], which
// asks for no work; ctx, the call's, is given to the observers that are told so.
func (l *Lease) Done(ctx context.Context, outcome resilience.Outcome) {
	s := l.shedder
	if s == nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	if l.end() && !l.idle && s.feeds(outcome, now.Sub(l.start)) && s.est.observe(l.start, now, s.inFlight) {
		s.setCaps(now)
	}
	news := s.news()
	s.mu.Unlock()
	s.tell(ctx, news)
}

// Release frees the place of a call that has not been reported. The call does not
// count.
func (l *Lease) Release() {
	s := l.shedder
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.end()
}

// end frees the place and reports whether it had not been free before. It requires
// the shedder's lock.
func (l *Lease) end() bool {
	if l.ended {
		return false
	}
	l.ended = true
	l.shedder.inFlight--
	return true
}

// feeds reports whether a call that ended so after took says how long calls take.
// It requires mu.
func (s *Shedder) feeds(outcome resilience.Outcome, took time.Duration) bool {
	switch outcome {
	case resilience.OutcomeOK, resilience.OutcomeClientFault:
		return true
	case resilience.OutcomeTimeout, resilience.OutcomeCallerDeadline:
		return !s.est.usual(took)
	default:
		return false
	}
}
