// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Counter is a Prometheus counter that takes exemplars as [Histogram] does: safely,
// and at most one in each [DefaultExemplarInterval].
//
// A nil *Counter counts nothing. It is safe for concurrent use and allocates only
// for an exemplar that is kept.
type Counter struct {
	counter   prometheus.Counter
	exemplars prometheus.ExemplarAdder // nil if the counter takes none
	gate      gate
	interval  time.Duration
}

// WrapCounter returns c with safe exemplars.
func WrapCounter(c prometheus.Counter) *Counter { return newCounter(c, DefaultExemplarInterval) }

// newCounter returns c wrapped. An interval below zero means no exemplars.
func newCounter(c prometheus.Counter, interval time.Duration) *Counter {
	w := &Counter{counter: c, interval: interval}
	if interval >= 0 {
		w.exemplars, _ = c.(prometheus.ExemplarAdder)
	}
	return w
}

// Add adds v. A negative v and NaN are dropped: a counter only goes up.
func (c *Counter) Add(v float64, ex Exemplar) {
	if c == nil || !(v >= 0) {
		return
	}
	if ex.Sampled && c.exemplars != nil && c.gate.pass(ex.instant(), c.interval) {
		if labels := ex.labels(); labels != nil {
			c.exemplars.AddWithExemplar(v, labels)
			return
		}
	}
	c.counter.Add(v)
}

// Inc adds one.
func (c *Counter) Inc(ex Exemplar) { c.Add(1, ex) }

// AddContext adds v with the exemplar of the request in ctx, which is not looked
// for unless it would be kept.
func (c *Counter) AddContext(ctx context.Context, v float64) {
	if c == nil || !(v >= 0) {
		return
	}
	if c.exemplars != nil && ctxutil.IdentityFrom(ctx).SpanContext.IsSampled() {
		if now := (Exemplar{}).instant(); c.gate.pass(now, c.interval) {
			if labels := ExemplarFrom(ctx).labels(); labels != nil {
				c.exemplars.AddWithExemplar(v, labels)
				return
			}
		}
	}
	c.counter.Add(v)
}

// lazyCounter is a counter that does not exist before it counts: a method that
// never streams has no series of messages.
type lazyCounter struct {
	vec     *prometheus.CounterVec
	values  []string
	counter atomic.Pointer[prometheus.Counter]
}

func (l *lazyCounter) inc() {
	if l == nil {
		return
	}
	c := l.counter.Load()
	if c == nil {
		made, err := l.vec.GetMetricWithLabelValues(l.values...)
		if err != nil {
			return
		}
		c = &made
		l.counter.Store(c)
	}
	(*c).Inc()
}
