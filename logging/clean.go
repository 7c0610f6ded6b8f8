// SPDX-License-Identifier: Apache-2.0

package logging

import "log/slog"

// cleaner makes attributes fit to be logged: secrets redacted, strings escaped
// and cut, no key twice in a group. What is fit already is returned itself.
type cleaner struct {
	redactor      *Redactor // nil redacts nothing
	maxValueBytes int       // 0 leaves strings and keys as they are
}

// budget counts the attributes of one record.
type budget struct {
	left, dropped int
}

// attr returns a made fit, and whether it had to be changed. The zero Attr
// stands for one that is over the budget.
func (c *cleaner) attr(a slog.Attr, inSensitive bool, b *budget) (slog.Attr, bool) {
	if b.left <= 0 {
		b.dropped++
		return slog.Attr{}, true
	}
	v, changed := a.Value, false
	if v.Kind() == slog.KindLogValuer {
		v, changed = v.Resolve(), true
	}
	hide := inSensitive
	if c.redactor != nil && a.Key != "" {
		hide = c.redactor.verdict(a.Key).hides(inSensitive)
	}
	if v.Kind() == slog.KindGroup {
		if members, fresh := c.group(v.Group(), hide, b); fresh {
			v, changed = slog.GroupValue(members...), true
		}
	} else {
		b.left--
		if hide {
			if hidden, fresh := hideValue(v); fresh {
				v, changed = hidden, true
			}
		} else if fit, fresh := c.value(v); fresh {
			v, changed = fit, true
		}
	}
	key, newKey := c.key(a.Key)
	if !changed && !newKey {
		return a, false
	}
	return slog.Attr{Key: key, Value: v}, true
}

// group returns the members of a group made fit. The slice given is never
// written to: it belongs to whoever logs.
func (c *cleaner) group(members []slog.Attr, inSensitive bool, b *budget) ([]slog.Attr, bool) {
	var l list
	changed := false
	for i, m := range members {
		a, fresh := c.attr(m, inSensitive, b)
		if !changed {
			if !fresh && a.Key != "" && l.index(a.Key) < 0 {
				l.attrs = members[: i+1 : i+1]
				l.seen |= bitOf(a.Key)
				continue
			}
			l.attrs = append(make([]slog.Attr, 0, len(members)), l.attrs...)
			changed = true
		}
		l = l.put(a)
	}
	return l.attrs, changed
}

// value returns v, resolved and no group, made fit.
func (c *cleaner) value(v slog.Value) (slog.Value, bool) {
	switch v.Kind() {
	case slog.KindString:
		if s, changed := c.text(v.String()); changed {
			return slog.StringValue(s), true
		}
	case slog.KindAny:
		return c.anyValue(v)
	}
	return v, false
}

// hideValue returns what is shown of a secret: nothing but that there is none.
func hideValue(v slog.Value) (slog.Value, bool) {
	switch v.Kind() {
	case slog.KindString:
		if v.String() == "" {
			return v, false
		}
	case slog.KindAny:
		if v.Any() == nil {
			return v, false
		}
	}
	return slog.StringValue(Redacted), true
}

func (c *cleaner) text(s string) (string, bool) {
	if c.maxValueBytes == 0 {
		return s, false
	}
	return escape(s, c.maxValueBytes)
}

func (c *cleaner) key(s string) (string, bool) {
	if c.maxValueBytes == 0 {
		return s, false
	}
	return escape(s, maxKeyBytes)
}
