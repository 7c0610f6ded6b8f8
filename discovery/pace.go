// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// pace is how long to wait after failures: twice as long after each, up to max,
// shortened by a random share of up to jitter, so that those who lost the same
// registry do not come back together.
type pace struct {
	base, max time.Duration
	jitter    float64
}

// after returns how long to wait after the n-th failure in a row, from 1.
func (p pace) after(n int) time.Duration {
	d := p.max
	// Shifting max down instead of base up cannot overflow.
	if n = max(n, 1) - 1; n < 62 && p.base <= p.max>>n {
		d = p.base << n
	}
	return p.spread(d)
}

// spread shortens d at random.
func (p pace) spread(d time.Duration) time.Duration {
	return d - time.Duration(p.jitter*rand.Float64()*float64(d))
}

// sleep waits, unless ctx ends or somebody wakes it; a nil wake does not.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) (woken bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
		return true
	}
	return false
}

// earliest returns the first of two times; the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
