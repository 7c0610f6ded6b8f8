// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"time"
)

// Both admits a call that a [Limiter] and a [Concurrency] limiter admit. It has no
// state of its own. Use [NewBoth].
type Both struct {
	rate        *Limiter
	concurrency *Concurrency
}

// NewBoth returns the conjunction of two limiters, which may be used elsewhere as
// well. It panics if one is nil.
func NewBoth(rate *Limiter, concurrency *Concurrency) *Both {
	if rate == nil || concurrency == nil {
		panic("ratelimit: NewBoth: nil limiter")
	}
	return &Both{rate: rate, concurrency: concurrency}
}

// Allow takes a slot and a token, or neither: the token comes last, because a slot
// can be given back without loss and a token cannot. A call does not begin to wait
// for a slot while there is no token. The error is that of the limiter that
// refused.
func (b *Both) Allow(ctx context.Context) (Permit, error) {
	slot, ok := b.concurrency.slots.Try()
	permit := Permit{slot}
	if !ok {
		if d := untilToken(b.rate.bucket, time.Now()); d > 0 {
			return Permit{}, b.rate.reject(ctx, d)
		}
		var err error
		if permit, err = b.concurrency.Allow(ctx); err != nil {
			return Permit{}, err
		}
	}
	if err := b.rate.Allow(ctx); err != nil {
		permit.Done()
		return Permit{}, err
	}
	return permit, nil
}
