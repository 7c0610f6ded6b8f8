// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// guard watches one exporter: it counts what got through and what did not, and
// says in the log when the exporter stops working and when it works again, once
// each. It is safe for concurrent use.
type guard struct {
	signal   string
	exporter string
	endpoint string
	log      func(level slog.Level, msg string, attrs ...slog.Attr)

	exported atomic.Uint64
	failed   atomic.Uint64

	mu    sync.Mutex
	down  bool
	since time.Time
	lost  uint64
}

// result books one export of n items.
func (g *guard) result(n int, err error) {
	if err == nil {
		g.exported.Add(uint64(n))
	} else {
		g.failed.Add(uint64(n))
	}
	g.mu.Lock()
	changed := g.down != (err != nil)
	since, lost := g.since, g.lost
	if err != nil {
		if changed {
			g.since, g.lost = time.Now(), 0
		}
		g.lost += uint64(n)
	}
	g.down = err != nil
	g.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		g.log(slog.LevelWarn, "telemetry: "+g.signal+" cannot be exported, what fails is dropped and counted",
			append(g.attrs(), slog.String("error", err.Error()))...)
	default:
		g.log(slog.LevelInfo, "telemetry: "+g.signal+" are exported again",
			append(g.attrs(), slog.Duration("after", time.Since(since)), slog.Uint64("lost", lost))...)
	}
}

// overflow is told by the queue in front of the exporter.
func (g *guard) overflow(overflowing bool, lost uint64) {
	if overflowing {
		g.log(slog.LevelWarn, "telemetry: the queue of "+g.signal+" is full, what does not fit is dropped and counted",
			append(g.attrs(), slog.Uint64("lost", lost))...)
		return
	}
	g.log(slog.LevelInfo, "telemetry: the queue of "+g.signal+" has room again", append(g.attrs(), slog.Uint64("lost", lost))...)
}

func (g *guard) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("exporter", g.exporter)}
	if g.endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", g.endpoint))
	}
	return attrs
}

func (g *guard) isDown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// reporter writes telemetry's own log lines.
type reporter struct {
	logger *slog.Logger // nil: slog.Default at the time
	level  slog.Level
	off    bool
}

func newReporter(logger *slog.Logger, level string) *reporter {
	r := &reporter{logger: logger, level: slog.LevelInfo}
	switch strings.ToLower(level) {
	case "none":
		r.off = true
	case "error":
		r.level = slog.LevelError
	case "warn":
		r.level = slog.LevelWarn
	case "debug":
		r.level = slog.LevelDebug
	}
	return r
}

func (r *reporter) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if r.off || level < r.level {
		return
	}
	logger := r.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(context.Background(), level, msg, attrs...)
}

func (r *reporter) error(msg string, err error) {
	r.log(slog.LevelError, msg, slog.String("error", err.Error()))
}
