// SPDX-License-Identifier: Apache-2.0

package hedge

import "time"

// Latencies is the estimator of a quantile.
type Latencies struct{ latencies }

// NewLatencies returns an estimator of quantile q.
func NewLatencies(q float64) *Latencies { return &Latencies{latencies{quantile: q}} }

// Observe counts a latency.
func (l *Latencies) Observe(d time.Duration) { l.observe(d) }

// Estimate returns the quantile.
func (l *Latencies) Estimate() time.Duration { return l.estimate() }
