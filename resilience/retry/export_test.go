// SPDX-License-Identifier: Apache-2.0

package retry

import "time"

// SetJitter replaces the random part of p's waits. It must be called before p is used.
func (p *Policy) SetJitter(jitter func(time.Duration) time.Duration) { p.jitter = jitter }

// FullJitter is the random part of waits.
func FullJitter(d time.Duration) time.Duration { return fullJitter(d) }

// Epoch is the slot that b is in.
func (b *Budget) Epoch() uint32 { return b.epoch(now()) }
