// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"errors"
	"log/slog"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// The messages of watches.
const (
	MessageLost        = "registry does not answer"
	MessageAnswers     = "registry answers again"
	MessageFallback    = "registry gives way to its fallback"
	MessageStale       = "instances are too old to be used"
	MessageNoInstances = "no instances"
	MessageHeld        = "instances held"
	MessageHoldOver    = "instances not held any more"
	MessageChanged     = "instances changed"
	MessageSkipped     = "entry skipped"
	MessageStoreFailed = "store failed"
)

// Discovery returns the observer of watchers, registrars, patrols and sweeps.
func (l *Log) Discovery() discovery.Observer {
	if l.handler == nil {
		return discovery.Observer{}
	}
	return discovery.Observer{
		Delivered:      l.delivered,
		Skipped:        l.skipped,
		StoreFailed:    l.storeFailed,
		StateChanged:   l.stateChanged,
		HeartbeatDone:  l.heartbeat,
		TTLChanged:     l.ttlChanged,
		FindingChanged: l.findingChanged,
		PatrolDone:     l.patrolled,
		SweepDone:      l.swept,
	}
}

func (l *Log) delivered(d discovery.Delivery) {
	s, before := d.Snapshot, d.Previous
	if before == nil {
		before = &discovery.Snapshot{Query: s.Query}
	}
	l.origin(s, before, d.Previous == nil)
	l.hold(s, before)
	n := s.Instances.Len()
	if n == 0 && s.Origin != discovery.OriginNone && (before.Instances.Len() > 0 || before.Origin == discovery.OriginNone) {
		l.write(slog.LevelWarn, MessageNoInstances, s.Query.String(), of(s.Query, slog.String("origin", s.Origin.String()), cause(s.Err))...)
	}
	if d.Added+d.Removed+d.Changed > 0 {
		l.write(slog.LevelDebug, MessageChanged, s.Query.String(), of(s.Query,
			slog.Int("added", d.Added), slog.Int("removed", d.Removed), slog.Int("changed", d.Changed), slog.Int("instances", n))...)
	}
}

// origin tells of a registry that comes and goes.
func (l *Log) origin(s, before *discovery.Snapshot, first bool) {
	q, n := s.Query, slog.Int("instances", s.Instances.Len())
	lost := of(q, slog.String("origin", s.Origin.String()), n, cause(s.Err))
	switch {
	case errors.Is(s.Err, discovery.ErrStale):
		if !errors.Is(before.Err, discovery.ErrStale) {
			l.write(slog.LevelWarn, MessageStale, q.String(), of(q, cause(s.Err))...)
		}
	case s.Err != nil && (before.Err == nil || unanswered(before.Err)) && !unanswered(s.Err):
		l.write(slog.LevelWarn, MessageLost, q.String(), lost...)
	case s.Origin == before.Origin:
	case s.Origin == discovery.OriginFallback:
		l.write(slog.LevelWarn, MessageFallback, q.String(), of(q, n)...)
	case s.Origin == discovery.OriginLive && !first && (before.Err != nil && !unanswered(before.Err) || before.Origin == discovery.OriginFallback):
		l.write(slog.LevelInfo, MessageAnswers, q.String(), of(q, n)...)
	}
}

// unanswered reports whether an error is that nothing was asked yet.
func unanswered(err error) bool { return errors.Is(err, discovery.ErrNotAnswered) }

// hold tells of holds that begin and end.
func (l *Log) hold(s, before *discovery.Snapshot) {
	q, n := s.Query, slog.Int("instances", s.Instances.Len())
	switch s.Hold {
	case before.Hold:
	case discovery.HoldNone:
		l.write(slog.LevelInfo, MessageHoldOver, q.String(), of(q, n)...)
	default:
		attrs := of(q, slog.String("hold", s.Hold.String()), slog.Int("held", s.Held), n)
		if !s.Until.IsZero() {
			attrs = append(attrs, millis("for_ms", time.Until(s.Until)))
		}
		l.write(slog.LevelWarn, MessageHeld, q.String(), attrs...)
	}
}

func (l *Log) skipped(e discovery.Skipped) {
	l.write(slog.LevelWarn, MessageSkipped, e.Query.String(), of(e.Query, text("key", e.Key), cause(e.Err))...)
}

func (l *Log) storeFailed(q discovery.Query, err error) {
	l.write(slog.LevelWarn, MessageStoreFailed, q.String(), of(q, cause(err))...)
}
