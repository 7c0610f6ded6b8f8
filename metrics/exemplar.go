// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Exemplar is the trace that one observation belongs to. The zero value is "no
// exemplar": the observation counts, and leaves the exemplar that is there.
//
// It becomes the labels trace_id and span_id, and never any other. Of a trace
// that is not sampled there is no exemplar: it would lead nowhere.
type Exemplar struct {
	// TraceID is the trace id, 32 hex digits.
	TraceID string
	// SpanID is the span id, 16 hex digits. It is dropped if it does not fit.
	SpanID string
	// Sampled says that the trace is kept.
	Sampled bool
	// At is when the observation was made. The zero value means now, at the price
	// of reading the clock if Sampled.
	At time.Time
}

// ExemplarFrom returns the exemplar of the request in ctx, zero if there is none
// or its trace is not sampled. For the span of the request itself it allocates
// nothing.
func ExemplarFrom(ctx context.Context) Exemplar {
	id := ctxutil.IdentityFrom(ctx)
	if !id.IsValid() || !id.SpanContext.IsSampled() {
		return Exemplar{}
	}
	return Exemplar{TraceID: id.TraceID(), SpanID: id.SpanID(), Sampled: true}
}

// labels returns e, which is sampled, as client_golang takes it, or nil for no
// exemplar. It can never make client_golang panic: at most 128 runes over names
// and values, the span id dropped first, and valid UTF-8.
func (e Exemplar) labels() prometheus.Labels {
	if e.TraceID == "" || !utf8.ValidString(e.TraceID) {
		return nil
	}
	runes := len(semconv.TraceIDKey) + utf8.RuneCountInString(e.TraceID)
	if runes > prometheus.ExemplarMaxRunes {
		return nil
	}
	if e.SpanID == "" || !utf8.ValidString(e.SpanID) ||
		runes+len(semconv.SpanIDKey)+utf8.RuneCountInString(e.SpanID) > prometheus.ExemplarMaxRunes {
		return prometheus.Labels{semconv.TraceIDKey: e.TraceID}
	}
	return prometheus.Labels{semconv.TraceIDKey: e.TraceID, semconv.SpanIDKey: e.SpanID}
}

// instant returns e.At, or now, as a count of nanoseconds that is never zero.
func (e Exemplar) instant() int64 {
	at := e.At
	if at.IsZero() {
		at = time.Now()
	}
	if n := int64(at.Sub(epoch)); n != 0 {
		return n
	}
	return 1
}

// epoch makes instants small and monotonic.
var epoch = time.Now()

// gate lets one exemplar through per interval. A scrape sees only the last one,
// and each costs nine allocations. The zero value lets the next one through.
type gate struct{ last atomic.Int64 }

// pass reports whether the exemplar of an observation made at instant is to be
// kept. A clock that went back lets it through.
func (g *gate) pass(instant int64, interval time.Duration) bool {
	last := g.last.Load()
	if since := instant - last; last != 0 && since >= 0 && since < int64(interval) {
		return false
	}
	return g.last.CompareAndSwap(last, instant)
}
