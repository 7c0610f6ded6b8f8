// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"log/slog"

	"github.com/fairlead-go/fairlead/discovery"
)

// The messages of registrations.
const (
	MessageRegistered       = "registered"
	MessageRegistrationLost = "registration lost"
	MessageAway             = "registration away"
	MessageBack             = "registration back"
	MessageRests            = "registration rests"
	MessageConflict         = "registration conflict"
	MessageDeregistered     = "deregistered"
	MessageNotDeregistered  = "not deregistered"
	MessageFailing          = "instance reports failing"
	MessagePassing          = "instance reports passing"
	MessageTTLChanged       = "time to live changed"
)

func (l *Log) stateChanged(e discovery.StateChange) {
	subject := e.Key.String()
	warn := func(level slog.Level, message string, more ...slog.Attr) {
		l.write(level, message, subject, about(e.Key, append(more, cause(e.Err))...)...)
	}
	switch e.To {
	case discovery.StateVisible:
		if e.From == discovery.StateAway {
			warn(slog.LevelInfo, MessageBack)
			return
		}
		warn(slog.LevelInfo, MessageRegistered, millis("ttl_ms", e.TTL))
	case discovery.StateAway:
		warn(slog.LevelWarn, MessageAway)
	case discovery.StateConflict:
		warn(slog.LevelError, MessageConflict)
	case discovery.StateOpen:
		warn(slog.LevelWarn, MessageRests, slog.Int("failures", e.Failures), millis("next_ms", e.Next))
	case discovery.StateRegistering:
		if forgotten(e.Err) {
			warn(slog.LevelWarn, MessageRegistrationLost)
		}
	case discovery.StateStopped:
		l.told.forget(subject)
		if e.Err != nil {
			warn(slog.LevelWarn, MessageNotDeregistered)
			return
		}
		warn(slog.LevelInfo, MessageDeregistered)
	case discovery.StatePending, discovery.StateRegistered:
	}
}

// heartbeat tells of instances whose own health changed.
func (l *Log) heartbeat(e discovery.Heartbeat) {
	was, changed := l.told.changed(e.Key.String(), e.Health.String())
	switch {
	case !changed:
	case e.Health == discovery.HealthFailing:
		l.write(slog.LevelWarn, MessageFailing, e.Key.String(), about(e.Key, failure("reason", e.Reason))...)
	case was == discovery.HealthFailing.String():
		l.write(slog.LevelInfo, MessagePassing, e.Key.String(), about(e.Key)...)
	}
}

func (l *Log) ttlChanged(e discovery.TTLChange) {
	l.write(slog.LevelDebug, MessageTTLChanged, e.Key.String(), about(e.Key, millis("from_ms", e.From), millis("to_ms", e.To), text("reason", e.Reason))...)
}
