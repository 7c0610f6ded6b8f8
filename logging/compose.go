// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"context"
	"log/slog"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// inlineAttrs is how many attributes a record may have before Handle needs
// memory to put them together.
const inlineAttrs = 24

// handle puts a new record together.
func (h *Handler) handle(ctx context.Context, r slog.Record, s *scope.Scope, id ids, repeats uint64) error {
	var buf [inlineAttrs]slog.Attr
	l := list{attrs: buf[:0]}
	b := budget{left: h.maxAttrs, dropped: h.dropped}
	if id.trace != "" {
		l = l.append(slog.String(TraceIDKey, id.trace))
		l = l.append(slog.String(SpanIDKey, id.span))
	}
	if s != nil {
		l = h.putRequest(l, s, &b)
	}
	if len(h.levels) == 1 {
		r.Attrs(func(a slog.Attr) bool {
			a, _ = h.clean.attr(a, false, &b)
			l = h.putRoot(l, a)
			return true
		})
	} else {
		l = h.putRoot(l, h.nest(r, &b))
	}
	if b.dropped > 0 {
		l = l.put(slog.Int(DroppedAttrsKey, b.dropped))
	}
	if repeats > 0 {
		l = l.put(slog.Uint64(DroppedRepeatsKey, repeats))
	}

	inner, attrs := h.root, l.attrs
	if own := h.levels[0].list; l.overrides(own) {
		// The handler's attributes are in inner for good: start without them.
		all := own.clone()
		for _, a := range l.attrs {
			all = all.put(a)
		}
		inner, attrs = h.base, all.attrs
	}
	message, _ := h.clean.text(r.Message)
	out := slog.NewRecord(r.Time, r.Level, message, r.PC)
	out.AddAttrs(attrs...)
	return inner.Handle(ctx, out)
}

// putRequest adds what the request carries, except where the logger's own
// attributes say something else. A call made for a request has a scope of its
// own, which says more than the request's where both say something.
func (h *Handler) putRequest(l list, s *scope.Scope, b *budget) list {
	if outer := scope.From(s.Parent()); outer != nil {
		l = h.putRequest(l, outer, b)
	}
	own := h.levels[0].list
	if s.CorrelationID != "" && own.index(RequestIDKey) < 0 {
		l = l.put(slog.String(RequestIDKey, s.CorrelationID))
	}
	var buf [8]slog.Attr
	for _, a := range s.AppendAttrs(buf[:0]) {
		a, _ = h.clean.attr(a, false, b)
		if own.index(a.Key) < 0 {
			l = h.putRoot(l, a)
		}
	}
	return l
}

// putRoot adds a to l, which is the root of a record: there, reserved keys are
// not for everybody. An attribute that has one is renamed, or left out if it
// says what is known already.
func (s *shared) putRoot(l list, a slog.Attr) list {
	if a.Key == "" && a.Value.Kind() == slog.KindGroup {
		for _, m := range a.Value.Group() {
			l = s.putRoot(l, m)
		}
		return l
	}
	for s.reserved.has(a.Key) {
		if i := l.index(a.Key); i >= 0 && is(a, a.Key, l.attrs[i].Value.String()) {
			return l
		}
		a.Key = "attr." + a.Key
	}
	return l.put(a)
}

// nest returns the groups opened by WithGroup, with their attributes and those
// of r in the innermost, as one attribute.
func (h *Handler) nest(r slog.Record, b *budget) slog.Attr {
	last := &h.levels[len(h.levels)-1]
	members := list{
		attrs: append(make([]slog.Attr, 0, len(last.list.attrs)+r.NumAttrs()), last.list.attrs...),
		seen:  last.list.seen,
	}
	r.Attrs(func(a slog.Attr) bool {
		a, _ = h.clean.attr(a, last.sensitive, b)
		members = members.put(a)
		return true
	})
	for i := len(h.levels) - 1; ; i-- {
		group := slog.Attr{Key: h.levels[i].name, Value: slog.GroupValue(members.attrs...)}
		if i == 1 {
			return group
		}
		members = h.levels[i-1].list.clone()
		members = members.put(group)
	}
}
