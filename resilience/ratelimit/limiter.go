// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// Limiter bounds the rate of calls by a token bucket. Use [New]; the zero Limiter
// is invalid. It is safe for concurrent use and needs no closing.
type Limiter struct {
	name   string
	cfg    limiterConfig
	bucket *rate.Limiter

	waiting sync.Mutex // held to look for how long to wait, and to decide to
}

// New returns a limiter that admits limit calls per second, more than 0, and burst
// at once after a pause, at least 1. rate.Inf admits every call. name appears in
// labels, events and errors: the server's own, or the downstream service's.
func New(name string, limit rate.Limit, burst int, opts ...LimiterOption) (*Limiter, error) {
	cfg := limiterConfig{maxWait: DefaultMaxWait}
	for _, o := range opts {
		o.applyLimiter(&cfg)
	}
	var c checks
	c.bucket(name, limit, burst)
	c.want(cfg.noBound || cfg.maxWait > 0, "max wait", cfg.maxWait, "be positive")
	if err := c.err(); err != nil {
		return nil, err
	}
	return &Limiter{name: name, cfg: cfg, bucket: rate.NewLimiter(limit, burst)}, nil
}

// Name returns the limiter's name.
func (l *Limiter) Name() string { return l.name }

// Allow takes a token, or refuses with a [*resilience.RejectedError] that matches
// resilience.ErrRateLimited and says when there will be one. It never waits.
func (l *Limiter) Allow(ctx context.Context) error {
	now := time.Now()
	if l.bucket.AllowN(now, 1) {
		return nil
	}
	return l.reject(ctx, untilToken(l.bucket, now))
}

// Wait takes a token, and waits for it if there is none. It refuses at once, as
// [Limiter.Allow] does, if that would take longer than ctx or the limit of
// [WithMaxWait] allows. If ctx is canceled while it waits, the error matches
// ctx.Err() and its cause, and is no refusal; the token is given back, in so far as
// no one waits behind it.
func (l *Limiter) Wait(ctx context.Context) error {
	now := time.Now()
	if l.bucket.AllowN(now, 1) {
		return nil
	}
	token, wait := l.reserve(now, l.longestWait(ctx, now))
	if token == nil {
		return l.reject(ctx, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		token.Cancel()
		return ended.Waiting(ctx, "rate limit "+strconv.Quote(l.name))
	}
}

// reserve takes a token of the future if it comes within longest, and returns how
// long that takes. It looks first, because a token that is reserved and given back
// is lost in part if somebody reserved behind it.
func (l *Limiter) reserve(now time.Time, longest time.Duration) (*rate.Reservation, time.Duration) {
	l.waiting.Lock()
	defer l.waiting.Unlock()
	if d := untilToken(l.bucket, now); d > longest {
		return nil, d
	}
	r := l.bucket.ReserveN(now, 1)
	return r, r.DelayFrom(now)
}

// SetLimit changes limit and burst, under the rules of [New]. Calls that wait
// already are not affected.
func (l *Limiter) SetLimit(limit rate.Limit, burst int) error {
	var c checks
	c.bucket(l.name, limit, burst)
	if err := c.err(); err != nil {
		return err
	}
	now := time.Now()
	l.bucket.SetLimitAt(now, limit)
	l.bucket.SetBurstAt(now, burst)
	return nil
}

// LimiterSnapshot is what a limiter knows at one moment, for metrics and debug
// pages.
type LimiterSnapshot struct {
	Name  string
	Limit rate.Limit // calls per second
	Burst int
	// Tokens is how many calls would be admitted now; negative by those that wait.
	Tokens float64
}

// Snapshot returns the present numbers.
func (l *Limiter) Snapshot() LimiterSnapshot {
	return LimiterSnapshot{Name: l.name, Limit: l.bucket.Limit(), Burst: l.bucket.Burst(), Tokens: l.bucket.Tokens()}
}

// longestWait returns for how long a call with ctx may wait.
func (l *Limiter) longestWait(ctx context.Context, now time.Time) time.Duration {
	longest := l.cfg.maxWait
	if l.cfg.noBound {
		longest = math.MaxInt64
	}
	if deadline, ok := ctx.Deadline(); ok {
		longest = min(longest, deadline.Sub(now))
	}
	return longest
}

func (l *Limiter) reject(ctx context.Context, retryAfter time.Duration) error {
	return reject(ctx, l.cfg.observer, resilience.RejectedError{
		Policy: resilience.PolicyRateLimit, Name: l.name, Reason: "rate limited", RetryAfter: retryAfter,
	})
}

// untilToken returns how long it takes until bucket has a token for one more call.
func untilToken(bucket *rate.Limiter, now time.Time) time.Duration {
	limit, missing := bucket.Limit(), 1-bucket.TokensAt(now)
	if missing <= 0 || limit == rate.Inf {
		return 0
	}
	nanos := math.Ceil(missing / float64(limit) * float64(time.Second))
	if nanos >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(nanos)
}

// reject tells of a refusal and returns it.
func reject(ctx context.Context, o resilience.Observer, e resilience.RejectedError) error {
	if o.Rejected != nil {
		o.Rejected(ctx, &e)
	}
	return &e
}
