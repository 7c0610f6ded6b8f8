// SPDX-License-Identifier: Apache-2.0

package discoverylog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Log writes what it is told to a logger. Use [New]. It is safe for concurrent use.
// Those that are told the same share one: it is what bounds how much is written.
type Log struct {
	handler slog.Handler
	gate    gate
	told    told
}

// New returns a log that writes to logger. With a nil logger, its observers do nothing.
func New(logger *slog.Logger) *Log {
	l := &Log{gate: gate{windows: map[gateKey]*window{}}, told: told{last: map[string]string{}}}
	if logger != nil {
		l.handler = logger.Handler()
	}
	return l
}

// write writes a line about a subject, such as a service, unless there were too many.
// It has no source: that would be this file, whatever happened.
func (l *Log) write(level slog.Level, message, subject string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !l.handler.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	left, ok := l.gate.pass(now, gateKey{message, subject})
	if !ok {
		return
	}
	rec := slog.NewRecord(now, level, message, 0)
	rec.AddAttrs(slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Equal(slog.Attr{}) })...)
	if left > 0 {
		rec.AddAttrs(slog.Uint64("suppressed", left))
	}
	_ = l.handler.Handle(ctx, rec) // a logger has nobody to tell that it cannot log
}

// of are the attributes that say which service it is about, before others.
func of(q discovery.Query, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("service", q.Service), slog.String("namespace", string(q.Namespace))}, more...)
}

// about are those of an instance.
func about(k discovery.Key, more ...slog.Attr) []slog.Attr {
	return of(k.Query(), append([]slog.Attr{slog.String("id", k.ID)}, more...)...)
}

// text is an attribute that is left out if it is empty.
func text(key, value string) slog.Attr {
	if value == "" {
		return slog.Attr{}
	}
	return slog.String(key, bounded(value))
}

// cause is an error as a line shows it; one that is nil is left out.
func cause(err error) slog.Attr { return failure("error", err) }

func failure(key string, err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.String(key, bounded(err.Error()))
}

// millis is a time; one that is not positive is left out.
func millis(key string, d time.Duration) slog.Attr {
	if d <= 0 {
		return slog.Attr{}
	}
	return slog.Float64(key, float64(d)/float64(time.Millisecond))
}

// maxText bounds a text of which a part may be a peer's, in bytes.
const maxText = 1024

func bounded(s string) string {
	// Errors that were joined have a line each.
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD"), "\n", "; ")
}

// forgotten reports whether the registry lost a registration that there was.
func forgotten(err error) bool {
	return errors.Is(err, discovery.ErrUnknownRegistration) || errors.Is(err, discovery.ErrNotVisible)
}
