// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"log/slog"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/multi"
)

// The messages of patrols, sweeps and fallbacks.
const (
	MessageFinding      = "registry finding"
	MessageFindingOver  = "registry finding over"
	MessageLeader       = "registry leader changed"
	MessageLeftover     = "leftover"
	MessageRemoved      = "leftover removed"
	MessageNotRemoved   = "leftover not removed"
	MessageSweepFailed  = "sweep failed"
	MessageToFallback   = "moved to the fallback registry"
	MessageToPrimary    = "moved to the primary registry"
	MessageNoRegistry   = "no registry takes heartbeats"
	MessageNotCleanedUp = "fallback not cleaned up"
)

func (l *Log) findingChanged(e discovery.FindingChange) {
	kind := e.Finding.Kind.String()
	attrs := []slog.Attr{slog.String("kind", kind), text("member", e.Finding.Member)}
	if e.Over {
		l.write(slog.LevelInfo, MessageFindingOver, kind, append(attrs, millis("after_ms", e.After))...)
		return
	}
	l.write(slog.LevelWarn, MessageFinding, kind, append(attrs, text("detail", e.Finding.Detail))...)
}

func (l *Log) patrolled(r discovery.PatrolRound) {
	if r.LeaderChanged {
		l.write(slog.LevelInfo, MessageLeader, "", text("leader", r.Cluster.Leader))
	}
}

// swept tells of what is new: a leftover once, when it is first found.
func (l *Log) swept(r discovery.SweepReport) {
	namespace, state := slog.String("namespace", string(r.Namespace)), "ok"
	if r.Err != nil {
		state = "failed"
	}
	if _, changed := l.told.changed("sweep of "+string(r.Namespace), state); changed && r.Err != nil {
		l.write(slog.LevelWarn, MessageSweepFailed, "", namespace, cause(r.Err))
	}
	for i := range r.Leftovers {
		e := &r.Leftovers[i]
		subject := e.Kind.String()
		what := []slog.Attr{namespace, slog.String("kind", subject), text("key", e.Entry.Key)}
		if e.Since.Equal(r.At) {
			l.write(slog.LevelWarn, MessageLeftover, subject, append(what, text("same_address_as", e.Other), cause(e.Entry.Err))...)
		}
		switch {
		case e.Removed:
			l.write(slog.LevelInfo, MessageRemoved, subject, what...)
		case e.Err != nil:
			l.write(slog.LevelWarn, MessageNotRemoved, subject, append(what, cause(e.Err))...)
		}
	}
}

// Fallback returns the observer of registrations that move between a primary registry
// and its fallback. Of watches that do, [Log.Discovery] tells.
func (l *Log) Fallback() multi.Observer {
	if l.handler == nil {
		return multi.Observer{}
	}
	return multi.Observer{
		Switched: func(e multi.Switch) {
			if e.ID == "" {
				return
			}
			level, message := slog.LevelInfo, MessageToPrimary
			if e.ToFallback {
				level, message = slog.LevelWarn, MessageToFallback
			}
			l.write(level, message, e.Query.String(), of(e.Query, text("id", e.ID), millis("took_ms", e.Took), cause(e.Err))...)
		},
		Away: func(e multi.Away) {
			if e.Heartbeats == 1 { // the first of many
				l.write(slog.LevelWarn, MessageNoRegistry, e.Key.String(), about(e.Key, cause(e.Err))...)
			}
		},
		CleanedUp: func(k discovery.Key, err error) {
			if err != nil {
				l.write(slog.LevelWarn, MessageNotCleanedUp, k.String(), about(k, cause(err))...)
			}
		},
	}
}
