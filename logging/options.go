// SPDX-License-Identifier: Apache-2.0

package logging

import "log/slog"

const (
	// DefaultMaxValueBytes is how long a message or a string value may be, see [WithMaxValueBytes].
	DefaultMaxValueBytes = 8 << 10
	// DefaultMaxAttrs is how many attributes a record may have, see [WithMaxAttrs].
	DefaultMaxAttrs = 128

	// minValueBytes keeps a limit from cutting ids and markers.
	minValueBytes = 64
)

// Option configures a [Handler]. No option can be invalid: what needs checking
// is checked where it is made, in [NewRedactor] and [NewSampler].
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

type config struct {
	level         slog.Leveler
	resource      []slog.Attr
	redactor      *Redactor
	noRedaction   bool
	sampler       *Sampler
	maxValueBytes int
	maxAttrs      int
}

func newConfig(opts []Option) *config {
	c := &config{maxValueBytes: DefaultMaxValueBytes, maxAttrs: DefaultMaxAttrs}
	for _, o := range opts {
		if o != nil {
			o.apply(c)
		}
	}
	if c.redactor == nil && !c.noRedaction {
		c.redactor = defaultRedactor()
	}
	return c
}

// WithLevel sets the least level that is logged for requests without a level
// of their own (ctxutil.SetLevel). It replaces the question to the inner
// handler, so it also works for an inner handler with a higher level, provided
// that one does not check again in Handle. The default, and nil, is to ask the
// inner handler.
func WithLevel(level slog.Leveler) Option {
	return optionFunc(func(c *config) { c.level = level })
}

// WithService puts service.name, service.version and service.instance.id (the
// OTel resource conventions) on every record; empty ones are left out. The
// default is none of them.
func WithService(name, version, instanceID string) Option {
	return optionFunc(func(c *config) {
		for _, a := range []slog.Attr{
			slog.String("service.name", name),
			slog.String("service.version", version),
			slog.String("service.instance.id", instanceID),
		} {
			if a.Value.String() != "" {
				c.resource = append(c.resource, a)
			}
		}
	})
}

// WithResource puts attrs at the root of every record, after those of
// [WithService]. Their keys are reserved: another attribute with such a key is
// renamed. The default is none.
func WithResource(attrs ...slog.Attr) Option {
	return optionFunc(func(c *config) { c.resource = append(c.resource, attrs...) })
}

// WithRedactor sets what is taken for a secret. The default, and nil, is a
// [Redactor] without options.
func WithRedactor(r *Redactor) Option {
	return optionFunc(func(c *config) { c.redactor, c.noRedaction = r, false })
}

// WithoutRedaction logs every attribute as it is. [Secret] still hides itself.
func WithoutRedaction() Option {
	return optionFunc(func(c *config) { c.redactor, c.noRedaction = nil, true })
}

// WithSampler drops repeats under load. Give each handler a sampler of its
// own: handlers that share one count the same record twice. The default, and
// nil, is to drop nothing.
func WithSampler(s *Sampler) Option {
	return optionFunc(func(c *config) { c.sampler = s })
}

// WithMaxValueBytes sets how long a message or a string value may be in bytes,
// after escaping; the rest is cut and counted at the end of the value. The
// default, for 0 and less too, is [DefaultMaxValueBytes]; less than 64 counts as 64.
func WithMaxValueBytes(n int) Option {
	return optionFunc(func(c *config) {
		if n <= 0 {
			n = DefaultMaxValueBytes
		}
		c.maxValueBytes = max(n, minValueBytes)
	})
}

// WithMaxAttrs sets how many attributes of a record are kept, members of
// groups counted one by one; how many were dropped is said in
// [DroppedAttrsKey]. The ids and the resource do not count. The default, for 0
// and less too, is [DefaultMaxAttrs].
func WithMaxAttrs(n int) Option {
	return optionFunc(func(c *config) {
		if n <= 0 {
			n = DefaultMaxAttrs
		}
		c.maxAttrs = n
	})
}

// Options makes one option of several, applied in order.
func Options(opts ...Option) Option {
	return optionFunc(func(c *config) {
		for _, o := range opts {
			if o != nil {
				o.apply(c)
			}
		}
	})
}
