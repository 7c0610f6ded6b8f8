// SPDX-License-Identifier: Apache-2.0

package retry

import "time"

// origin is where now counts from. Its value does not matter.
var origin = time.Now()

// now reads the monotonic clock alone, at half the price of time.Now.
func now() time.Duration { return time.Since(origin) }

// estimateWeight is the weight of one attempt in the moving average.
const estimateWeight = 1.0 / 8

// Estimate returns how much time the policy expects an attempt to take: what
// [WithAttemptEstimate] said or what those that succeeded took of late, and no
// more than the per-try timeout. It is 0 before the first success.
func (p *Policy) Estimate() time.Duration {
	d := time.Duration(p.estimate.Load())
	if p.perTry > 0 {
		d = min(d, p.perTry)
	}
	return d
}

// learn counts an attempt that began then and has succeeded. Two that end at the
// same time may count as one: an average does not mind.
func (p *Policy) learn(began time.Duration) {
	if p.fixed {
		return
	}
	took := int64(now() - began)
	average := p.estimate.Load()
	if average == 0 {
		p.estimate.Store(took)
		return
	}
	p.estimate.Store(average + int64(float64(took-average)*estimateWeight))
}
