// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"math/rand/v2"
	"time"
)

// backoff is exponential: it doubles from base up to max.
type backoff struct{ base, max time.Duration }

// ceiling returns the longest that the n-th wait may be, counted from 0.
func (b backoff) ceiling(n int) time.Duration {
	// Shifting max down instead of base up cannot overflow.
	if n > 62 || b.base > b.max>>n {
		return b.max
	}
	return b.base << n
}

// fullJitter returns a random duration from 0 to d, both included. Waits spread
// over the whole range come back least together.
// See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
func fullJitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d + 1)
}
