// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"log/slog"

	"github.com/fairlead-go/fairlead/health"
)

// The messages of health.
const (
	MessageNotReady     = "not ready"
	MessageReady        = "ready"
	MessageDraining     = "draining"
	MessageCheckFailing = "check failing"
	MessageCheckPassing = "check passing"
	MessageCheckChanged = "check changed"
)

// Health returns the observer of a set of health checks.
func (l *Log) Health() health.Observer {
	if l.handler == nil {
		return health.Observer{}
	}
	return health.Observer{Changed: l.checkChanged, StatusChanged: l.statusChanged}
}

func (l *Log) checkChanged(e health.Change) {
	attrs := []slog.Attr{slog.String("check", e.Name), slog.String("state", e.To.String())}
	switch {
	case e.Passing == e.WasPassing && (e.From != health.StatePending || e.Passing):
		l.write(slog.LevelDebug, MessageCheckChanged, e.Name, append(attrs, cause(e.Err))...)
	case !e.Passing:
		l.write(slog.LevelWarn, MessageCheckFailing, e.Name, append(attrs, cause(e.Err), millis("latency_ms", e.Latency))...)
	case e.From == health.StatePending: // it has begun
		l.write(slog.LevelDebug, MessageCheckPassing, e.Name, attrs...)
	default:
		l.write(slog.LevelInfo, MessageCheckPassing, e.Name, append(attrs, millis("after_ms", e.Lasted))...)
	}
}

func (l *Log) statusChanged(e health.StatusChange) {
	level, message := slog.LevelWarn, MessageNotReady
	switch e.To {
	case health.StatusReady:
		level, message = slog.LevelInfo, MessageReady
	case health.StatusDraining:
		level, message = slog.LevelInfo, MessageDraining
	case health.StatusFailing, health.StatusStarting:
	}
	l.write(level, message, "", slog.String("status", e.To.String()), cause(e.Err))
}
