// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Other is the label value that stands for every value a [Guard] refused, as the
// OpenTelemetry conventions ask for.
const Other = semconv.Other

// MaxValueBytes is the length of the longest label value a [Guard] admits.
const MaxValueBytes = 200

const (
	// offenderSlots is how many refused values a guard remembers.
	offenderSlots = 8
	// offenderBytes is how much it remembers of each.
	offenderBytes = 64
	// offenderStride thins the sample: after the first offenderSlots refusals,
	// one in offenderStride is remembered, so that a flood costs next to nothing.
	offenderStride = 64
)

// Guard bounds the values of one label. The first values it sees are admitted,
// up to its cap; from then on every new one becomes [Other], and is counted.
// Its memory is bounded by the cap however many values it is shown.
//
// A Guard is made by [NewGuard] or [Set.Guard]; the zero value refuses
// everything. It is safe for concurrent use; for an admitted value, and for a
// refused one once the guard is full, it takes no lock and allocates nothing.
type Guard struct {
	label    string
	admitted cache[string, string]
	refused  atomic.Uint64

	mu        sync.Mutex
	offenders [offenderSlots]string
	next      int
}

// Offender tells of one label whose values were refused.
type Offender struct {
	// Label is the guard's label.
	Label string
	// Refused is how many lookups ended in [Other].
	Refused uint64
	// Values are some of the refused values, the newest last: at most 8, each cut
	// to 64 bytes, valid UTF-8 without control characters. A peer chose them: they
	// are as safe to print as that, and no safer.
	Values []string
}

// NewGuard returns a guard for label that admits at most maxValues values.
func NewGuard(label string, maxValues int) (*Guard, error) {
	if label == "" {
		return nil, errors.New("metrics: NewGuard: label is empty: it names the guard in reports")
	}
	if !utf8.ValidString(label) {
		return nil, fmt.Errorf("metrics: NewGuard: label %q is not valid UTF-8", label)
	}
	if maxValues < 1 {
		return nil, fmt.Errorf("metrics: NewGuard: maxValues of %q is %d: must be at least 1", label, maxValues)
	}
	return newGuard(label, maxValues), nil
}

func newGuard(label string, maxValues int) *Guard {
	g := &Guard{label: label}
	g.admitted.limit = maxValues
	return g
}

// Label returns the label's name.
func (g *Guard) Label() string { return g.label }

// Value returns v if it is admitted, and [Other] if not. The empty string, which
// Prometheus treats as an absent label, and Other itself are always admitted and
// take no room. A value over [MaxValueBytes] is refused; in others, invalid UTF-8
// and control characters are replaced by U+FFFD.
func (g *Guard) Value(v string) string {
	if v == "" || v == Other {
		return v
	}
	if len(v) > MaxValueBytes {
		return g.refuse(v)
	}
	if s, ok := g.admitted.load(v); ok {
		return s
	}
	return g.admit(v)
}

// Allow admits values ahead of any traffic, so that a flood of others cannot
// keep them out. Values past the cap are refused and counted.
func (g *Guard) Allow(values ...string) {
	for _, v := range values {
		g.Value(v)
	}
}

// Len returns how many values are admitted.
func (g *Guard) Len() int { return g.admitted.len() }

// Refused returns how many lookups ended in [Other] because the guard refused.
func (g *Guard) Refused() uint64 { return g.refused.Load() }

// Offenders returns what the guard refused so far.
func (g *Guard) Offenders() Offender {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := Offender{Label: g.label, Refused: g.refused.Load()}
	for i := range offenderSlots {
		if v := g.offenders[(g.next+i)%offenderSlots]; v != "" {
			o.Values = append(o.Values, v)
		}
	}
	return o
}

func (g *Guard) admit(v string) string {
	c := sanitize(v)
	if len(c) > MaxValueBytes { // U+FFFD is longer than the byte it replaces
		return g.refuse(v)
	}
	if s, ok := g.admitted.load(c); ok {
		return s
	}
	if g.full() {
		return g.refuse(v)
	}
	// The clone cuts the value loose from the request's buffer. It is the key as
	// well: hence made before the lock, and for nothing if another was faster.
	c = strings.Clone(c)
	s, ok := g.admitted.loadOrStore(c, func() string { return c })
	if !ok {
		return g.refuse(v)
	}
	return s
}

// full reports, without a lock, that nothing new can be admitted.
func (g *Guard) full() bool {
	s := g.admitted.read.Load()
	return s != nil && !s.amended && len(s.m) >= g.admitted.limit
}

func (g *Guard) refuse(v string) string {
	n := g.refused.Add(1)
	if (n <= offenderSlots || n%offenderStride == 0) && g.mu.TryLock() {
		defer g.mu.Unlock()
		if o := excerpt(v); !slices.Contains(g.offenders[:], o) {
			g.offenders[g.next] = o
			g.next = (g.next + 1) % offenderSlots
		}
	}
	return Other
}

// excerpt returns a copy of the start of v that is safe to keep and to print.
func excerpt(v string) string {
	v = sanitize(v[:min(len(v), offenderBytes)])
	for len(v) > offenderBytes {
		_, n := utf8.DecodeLastRuneInString(v)
		v = v[:len(v)-n]
	}
	return strings.Clone(v)
}
