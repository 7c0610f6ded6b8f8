// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"context"
	"log/slog"
	"slices"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// Handler is an [slog.Handler] that completes and cleans records on their way
// to another handler, see the package comment. Make one with [NewHandler]; the
// zero Handler is not usable. It is safe for concurrent use if the inner
// handler is, and starts no goroutine.
type Handler struct {
	*shared
	// root is the inner handler with the resource and, unlike shared.base, the
	// attributes of levels[0] already in it.
	root slog.Handler
	// levels are the root and the groups opened by WithGroup, each with the
	// attributes of WithAttrs in it.
	levels []level
	// dropped is how many attributes of WithAttrs were over the budget.
	dropped int
}

// shared is what all handlers made of one have in common.
type shared struct {
	base     slog.Handler // the inner handler with the resource
	level    slog.Leveler
	sampler  *Sampler
	clean    cleaner
	maxAttrs int
	reserved keySet
}

// level is a group, or the root.
type level struct {
	name      string
	list      list
	sensitive bool
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler returns a Handler that passes records to inner. It panics if
// inner is nil.
func NewHandler(inner slog.Handler, opts ...Option) *Handler {
	if inner == nil {
		panic("logging: NewHandler: nil handler")
	}
	c := newConfig(opts)
	s := &shared{
		base:     inner,
		level:    c.level,
		sampler:  c.sampler,
		clean:    cleaner{redactor: c.redactor, maxValueBytes: c.maxValueBytes},
		maxAttrs: c.maxAttrs,
	}
	s.reserved.add(slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey,
		TraceIDKey, SpanIDKey, DroppedAttrsKey, DroppedRepeatsKey)
	var resource list
	b := budget{left: len(c.resource)}
	for _, a := range c.resource {
		a, _ = s.clean.attr(a, false, &b)
		resource = s.putRoot(resource, a)
	}
	if len(resource.attrs) > 0 {
		for _, a := range resource.attrs {
			s.reserved.add(a.Key)
		}
		s.base = inner.WithAttrs(resource.attrs)
	}
	return &Handler{shared: s, root: s.base, levels: []level{{}}}
}

// Enabled reports whether a record of the level is logged: by the level of the
// request in ctx if it has one (ctxutil.SetLevel), else by [WithLevel], else
// by the inner handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	if least, ok := requestLevel(scope.From(ctx)); ok {
		return level >= least
	}
	if h.level != nil {
		return level >= h.level.Level()
	}
	return h.base.Enabled(ctx, level)
}

// requestLevel returns the level set for a request. A call made for a request
// has a scope of its own, and the request's level if it has none itself.
func requestLevel(s *scope.Scope) (slog.Level, bool) {
	for ; s != nil; s = scope.From(s.Parent()) {
		if l, ok := s.Level(); ok {
			return l, true
		}
	}
	return 0, false
}

// Handle completes and cleans r and passes it to the inner handler, without
// asking that one whether it is enabled. A record below the level of its
// request, or one that is a repeat too many, is dropped. The error is the
// inner handler's.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	s := scope.From(ctx)
	least, own := requestLevel(s)
	if own && r.Level < least {
		return nil
	}
	var repeats uint64
	if h.sampler != nil && !own {
		pass, dropped := h.sampler.sample(r.Level, r.Message)
		if !pass {
			return nil
		}
		repeats = dropped
	}
	id := identify(ctx, s)
	if repeats == 0 && h.isComplete(r, id) {
		return h.root.Handle(ctx, r)
	}
	return h.handle(ctx, r, s, id, repeats)
}

// isComplete reports whether r can be passed on as it is: its first attributes
// are the ids of its context, which is how the request log's lines are made,
// so the request's attributes are in there and no key is twice; and there is
// nothing to clean and nothing of this handler's to add.
func (h *Handler) isComplete(r slog.Record, id ids) bool {
	if len(h.levels) > 1 || h.dropped > 0 || id.trace == "" || r.NumAttrs() < 2 {
		return false
	}
	if _, changed := h.clean.text(r.Message); changed {
		return false
	}
	b := budget{left: h.maxAttrs}
	n, complete := 0, true
	r.Attrs(func(a slog.Attr) bool {
		switch n {
		case 0:
			complete = is(a, TraceIDKey, id.trace)
		case 1:
			complete = is(a, SpanIDKey, id.span)
		default:
			_, changed := h.clean.attr(a, false, &b)
			complete = !changed && a.Key != "" && !h.reserved.has(a.Key) && h.levels[0].list.index(a.Key) < 0
		}
		n++
		return complete
	})
	return complete
}

// WithAttrs returns a handler that adds attrs, cleaned here once and for all.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	out := h.clone()
	last := len(out.levels) - 1
	lv := &out.levels[last]
	lv.list = lv.list.clone()
	b := budget{left: h.maxAttrs - len(lv.list.attrs)}
	for _, a := range attrs {
		a, _ = h.clean.attr(a, lv.sensitive, &b)
		if last == 0 {
			lv.list = h.putRoot(lv.list, a)
		} else {
			lv.list = lv.list.put(a)
		}
	}
	out.dropped += b.dropped
	if last == 0 && len(lv.list.attrs) > 0 {
		out.root = h.base.WithAttrs(lv.list.clone().attrs)
	}
	return out
}

// WithGroup returns a handler that puts the attributes it is given from now on
// into the group name. The ids stay at the root.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := h.clone()
	lv := level{sensitive: h.levels[len(h.levels)-1].sensitive}
	if r := h.clean.redactor; r != nil {
		lv.sensitive = r.verdict(name).hides(lv.sensitive)
	}
	lv.name, _ = h.clean.key(name)
	out.levels = append(out.levels, lv)
	return out
}

func (h *Handler) clone() *Handler {
	return &Handler{shared: h.shared, root: h.root, levels: slices.Clone(h.levels), dropped: h.dropped}
}
