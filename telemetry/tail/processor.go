// SPDX-License-Identifier: Apache-2.0

package tail

import (
	"container/list"
	"context"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Head makes head fit for a [Processor]: what head would drop is recorded but
// not sampled. The traceparent sent to peers stays as head decided it.
func Head(head sdktrace.Sampler) sdktrace.Sampler { return sdktrace.AlwaysRecord(head) }

// Processor holds the spans of undecided traces and passes those of kept traces
// on, as the package comment says. Create it with [New]. It is safe for
// concurrent use. It never blocks on the next processor's export, provided that
// the next one's OnEnd does not.
type Processor struct {
	next sdktrace.SpanProcessor
	cfg  config

	mu      sync.Mutex
	traces  map[trace.TraceID]*undecided
	order   *list.List // of *undecided, the oldest in front
	held    int        // spans in all undecided traces
	recent  decisions
	stopped bool
	stats   counters
}

var _ sdktrace.SpanProcessor = (*Processor)(nil)

// undecided is a trace with spans open in this process. Once kept it holds no
// spans any more, and stays until the last of them has ended.
type undecided struct {
	id    trace.TraceID
	first sdktrace.ReadOnlySpan
	since time.Time
	open  int
	kept  bool
	held  []sdktrace.ReadOnlySpan
	place *list.Element
}

// New returns a processor that passes what it keeps on to next, which it owns
// from here on: Shutdown and ForceFlush reach it. Without options it keeps
// errors and spans of [DefaultSlow] or more.
func New(next sdktrace.SpanProcessor, opts ...Option) (*Processor, error) {
	if next == nil {
		panic("tail: New: nil next processor")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	return &Processor{
		next:   next,
		cfg:    cfg,
		traces: make(map[trace.TraceID]*undecided),
		order:  list.New(),
		recent: newDecisions(cfg.maxDecisions),
	}, nil
}

// OnStart counts the span as open in its trace.
func (p *Processor) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	p.next.OnStart(ctx, s)
	sc := s.SpanContext()
	if sc.IsSampled() {
		return
	}
	now := time.Now()
	p.mu.Lock()
	early := p.overAge(now)
	if !p.stopped {
		t := p.traces[sc.TraceID()]
		if t == nil {
			if len(p.traces) == p.cfg.maxTraces {
				early = append(early, p.evictOldest())
			}
			t = p.open(sc.TraceID(), s, now)
		}
		t.open++
	}
	p.mu.Unlock()
	p.decideEarly(early, now)
}

// OnEnd decides about the span's trace if it can, and holds the span if not.
func (p *Processor) OnEnd(s sdktrace.ReadOnlySpan) {
	now := time.Now()
	why := reasonHead
	if !s.SpanContext().IsSampled() {
		why = p.cfg.reasonFor(s, s.EndTime().Sub(s.StartTime()))
	}
	p.mu.Lock()
	var pass bool
	var released []sdktrace.ReadOnlySpan
	switch t := p.traces[s.SpanContext().TraceID()]; {
	case p.stopped:
		pass = why == reasonHead // the next processor counts what comes too late
	case why == reasonHead:
		pass = true
		if t != nil {
			released = p.keep(t, why)
		}
	case t == nil:
		pass = p.late(s.SpanContext().TraceID(), why)
	default:
		pass, released = p.ended(t, s, why)
	}
	early := p.overAge(now)
	for p.held > p.cfg.maxSpans {
		early = append(early, p.evictOldest())
	}
	p.mu.Unlock()

	p.pass(released)
	if pass {
		p.next.OnEnd(withSampledFlag(s))
	}
	p.decideEarly(early, now)
}

// ForceFlush decides the traces past their age and flushes the next processor.
// Traces that are still undecided stay so.
func (p *Processor) ForceFlush(ctx context.Context) error {
	now := time.Now()
	p.mu.Lock()
	early := p.overAge(now)
	p.mu.Unlock()
	p.decideEarly(early, now)
	return p.next.ForceFlush(ctx)
}

// Shutdown decides about every open trace with what is known, then shuts the
// next processor down. Spans that end later are dropped.
func (p *Processor) Shutdown(ctx context.Context) error {
	now := time.Now()
	p.mu.Lock()
	p.stopped = true
	var early []*undecided
	for p.order.Len() > 0 {
		early = append(early, p.evictOldest())
	}
	p.mu.Unlock()
	p.decideEarly(early, now)
	return p.next.Shutdown(ctx)
}

// open starts the record of a trace; p.mu is held.
func (p *Processor) open(id trace.TraceID, first sdktrace.ReadOnlySpan, now time.Time) *undecided {
	t := &undecided{id: id, first: first, since: now, kept: p.recent.kept(id)}
	t.place = p.order.PushBack(t)
	p.traces[id] = t
	return t
}

// ended books the end of an unsampled span of t; p.mu is held. It returns
// whether the span is passed on, and the earlier spans to pass on before it.
func (p *Processor) ended(t *undecided, s sdktrace.ReadOnlySpan, why reason) (bool, []sdktrace.ReadOnlySpan) {
	t.open--
	last := t.open == 0
	if why == reasonNone && last && inRatio(t.id, p.cfg.ratio) {
		why = reasonRatio
	}
	var released []sdktrace.ReadOnlySpan
	if why != reasonNone {
		released = p.keep(t, why)
	}
	switch {
	case last:
		if !t.kept {
			p.stats.dropped++
		}
		p.remove(t)
	case t.kept:
	case len(t.held) >= p.cfg.maxSpansPerTrace:
		p.stats.overLimit++
	default:
		t.held = append(t.held, s)
		p.held++
	}
	return t.kept, released
}

// keep decides for t, if that is not done yet, and returns what it held; p.mu is held.
func (p *Processor) keep(t *undecided, why reason) []sdktrace.ReadOnlySpan {
	if t.kept {
		return nil
	}
	t.kept = true
	p.stats.kept[why]++
	if why != reasonRatio { // the ratio says the same again
		p.recent.remember(t.id)
	}
	released := t.held
	p.held -= len(released)
	t.held = nil
	return released
}

// late says whether a span is passed on whose trace is decided already, or
// whose start was never seen; p.mu is held.
func (p *Processor) late(id trace.TraceID, why reason) bool {
	switch {
	case p.recent.kept(id), why == reasonNone && inRatio(id, p.cfg.ratio):
		return true
	case why != reasonNone:
		p.recent.remember(id)
		p.stats.revived++
		return true
	}
	p.stats.lateDropped++
	return false
}

// overAge removes the traces that have been undecided for too long; p.mu is held.
func (p *Processor) overAge(now time.Time) []*undecided {
	var early []*undecided
	for e := p.order.Front(); e != nil && now.Sub(e.Value.(*undecided).since) > p.cfg.maxAge; e = p.order.Front() {
		early = append(early, p.evictOldest())
	}
	return early
}

// evictOldest removes the oldest trace for an early decision; p.mu is held.
func (p *Processor) evictOldest() *undecided {
	t := p.order.Front().Value.(*undecided)
	p.remove(t)
	if !t.kept {
		p.stats.early++
	}
	return t
}

// remove forgets t, which keeps what it held; p.mu is held.
func (p *Processor) remove(t *undecided) {
	p.order.Remove(t.place)
	delete(p.traces, t.id)
	p.held -= len(t.held)
}

// decideEarly decides about evicted traces, outside of the lock because rules
// are the user's code.
func (p *Processor) decideEarly(evicted []*undecided, now time.Time) {
	for _, t := range evicted {
		if t.kept {
			continue
		}
		why := p.cfg.reasonFor(t.first, now.Sub(t.since))
		if why == reasonNone && inRatio(t.id, p.cfg.ratio) {
			why = reasonRatio
		}
		p.mu.Lock()
		if why == reasonNone {
			p.stats.dropped++
		} else {
			p.stats.kept[why]++
			if why != reasonRatio {
				p.recent.remember(t.id)
			}
		}
		p.mu.Unlock()
		if why != reasonNone {
			p.pass(t.held)
		}
	}
}

func (p *Processor) pass(spans []sdktrace.ReadOnlySpan) {
	for _, s := range spans {
		p.next.OnEnd(withSampledFlag(s))
	}
}

// sampledSpan is a span kept by the tail: batchers and exporters pass it only
// with the sampled flag.
type sampledSpan struct {
	sdktrace.ReadOnlySpan

	spanContext trace.SpanContext
}

func (s sampledSpan) SpanContext() trace.SpanContext { return s.spanContext }

func withSampledFlag(s sdktrace.ReadOnlySpan) sdktrace.ReadOnlySpan {
	sc := s.SpanContext()
	if sc.IsSampled() {
		return s
	}
	return sampledSpan{ReadOnlySpan: s, spanContext: sc.WithTraceFlags(sc.TraceFlags().WithSampled(true))}
}
