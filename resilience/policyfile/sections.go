// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Each of these functions reads the mapping of one policy and returns its options. What
// is wrong with them it lets the policy say.

// someName is what policies are called that are made for their errors alone.
const someName = "x"

func readRetry(o *object) (opts []retry.Option) {
	set(o, &opts, "max_attempts", whole, retry.WithMaxAttempts)
	set(o, &opts, "per_try_timeout", duration, retry.WithPerTryTimeout)
	set(o, &opts, "overall_timeout", duration, retry.WithOverallTimeout)
	o.inner("backoff", func(in *object) {
		base, ok1 := required(in, "base", duration)
		longest, ok2 := required(in, "max", duration)
		if ok1 && ok2 {
			opts = append(opts, retry.WithBackoff(base, longest))
		}
	})
	set(o, &opts, "max_pushback", duration, retry.WithMaxPushback)
	set(o, &opts, "attempt_estimate", duration, retry.WithAttemptEstimate)
	if list, ok := value(o, "retry_on", outcomes); ok {
		opts = append(opts, retry.WithRetryOn(list...))
	}
	if _, ok := value(o, "nested", only(true)); ok {
		opts = append(opts, retry.WithNestedRetries())
	}
	if _, ok := value(o, "budget", only(false)); ok {
		opts = append(opts, retry.WithoutBudget())
	}
	_, err := retry.New(someName, opts...)
	o.check(err)
	return opts
}

func readHedge(o *object) (opts []hedge.Option) {
	set(o, &opts, "max_attempts", whole, hedge.WithMaxAttempts)
	set(o, &opts, "delay", duration, hedge.WithDelay)
	set(o, &opts, "quantile", number, hedge.WithQuantile)
	set(o, &opts, "min_delay", duration, hedge.WithMinDelay)
	if list, ok := value(o, "non_fatal", outcomes); ok {
		opts = append(opts, hedge.WithNonFatal(list...))
	}
	if _, ok := value(o, "nested", only(true)); ok {
		opts = append(opts, hedge.WithNestedHedges())
	}
	if _, ok := value(o, "budget", only(false)); ok {
		opts = append(opts, hedge.WithoutBudget())
	}
	_, err := hedge.New(someName, opts...)
	o.check(err)
	return opts
}

func readBudget(o *object) (opts []retry.BudgetOption) {
	set(o, &opts, "share", number, retry.WithShare)
	set(o, &opts, "floor", number, retry.WithFloor)
	set(o, &opts, "window", duration, retry.WithWindow)
	_, err := retry.NewBudget(opts...)
	o.check(err)
	return opts
}

func readBreaker(o *object) (opts []breaker.Option) {
	set(o, &opts, "window", duration, breaker.WithWindow)
	set(o, &opts, "min_calls", whole, breaker.WithMinCalls)
	set(o, &opts, "failure_ratio", number, breaker.WithFailureRatio)
	o.inner("slow_call", func(in *object) {
		threshold, ok1 := required(in, "threshold", duration)
		ratio, ok2 := required(in, "ratio", number)
		if ok1 && ok2 {
			opts = append(opts, breaker.WithSlowCalls(threshold, ratio))
		}
	})
	if list, ok := value(o, "failures", outcomes); ok {
		opts = append(opts, breaker.WithFailures(list...))
	}
	set(o, &opts, "patience", duration, breaker.WithPatience)
	set(o, &opts, "open_time", duration, breaker.WithOpenTime)
	set(o, &opts, "jitter", number, breaker.WithJitter)
	o.inner("retry_after", func(in *object) {
		shortest, ok1 := required(in, "min", duration)
		longest, ok2 := required(in, "max", duration)
		if ok1 && ok2 {
			opts = append(opts, breaker.WithRetryAfterBounds(shortest, longest))
		}
	})
	set(o, &opts, "probes", whole, breaker.WithProbes)
	set(o, &opts, "probe_lease", duration, breaker.WithProbeLease)
	_, err := breaker.New(someName, opts...)
	o.check(err)
	return opts
}

// rateLimit is what a rate_limit says.
type rateLimit struct {
	limit rate.Limit
	burst int
	opts  []ratelimit.LimiterOption
}

// readRateLimit returns false if there cannot be a limiter.
func readRateLimit(o *object, waits bool) (r rateLimit, ok bool) {
	limit, ok1 := required(o, "limit", number)
	burst, ok2 := required(o, "burst", whole)
	r.limit, r.burst = rate.Limit(limit), burst
	if waits {
		o.switchable("max_wait", func() { r.opts = append(r.opts, ratelimit.WithoutMaxWait()) }, func() {
			set(o, &r.opts, "max_wait", duration, ratelimit.WithMaxWait)
		})
	}
	if !ok1 || !ok2 {
		return r, false
	}
	_, err := ratelimit.New(someName, r.limit, r.burst, r.opts...)
	o.check(err)
	return r, true
}

// readBulkhead returns false if there cannot be one.
func readBulkhead(o *object) (most int, opts []bulkhead.Option, ok bool) {
	most, ok = required(o, "max", whole)
	readQueue(o, func(n int, wait time.Duration) { opts = append(opts, bulkhead.WithQueue(n, wait)) })
	if ok {
		_, err := bulkhead.New(someName, most, opts...)
		o.check(err)
	}
	return most, opts, ok
}

// readConcurrency returns false if there cannot be a limit.
func readConcurrency(o *object) (most int, opts []ratelimit.ConcurrencyOption, ok bool) {
	most, ok = required(o, "max", whole)
	readQueue(o, func(n int, wait time.Duration) { opts = append(opts, ratelimit.WithQueue(n, wait)) })
	set(o, &opts, "retry_after", duration, ratelimit.WithRetryAfter)
	if ok {
		_, err := ratelimit.NewConcurrency(someName, most, opts...)
		o.check(err)
	}
	return most, opts, ok
}

func readQueue(o *object, found func(n int, wait time.Duration)) {
	o.switchable("queue", func() { found(0, 0) }, func() {
		o.inner("queue", func(in *object) {
			n, ok1 := required(in, "length", whole)
			wait, ok2 := required(in, "wait", duration)
			if ok1 && ok2 {
				found(n, wait)
			}
		})
	})
}

func readShed(o *object) (opts []shed.Option) {
	set(o, &opts, "initial_limit", whole, shed.WithInitialLimit)
	set(o, &opts, "min_limit", whole, shed.WithMinLimit)
	set(o, &opts, "max_limit", whole, shed.WithMaxLimit)
	window, ok1 := value(o, "window", duration)
	samples, ok2 := value(o, "min_samples", whole)
	if ok1 || ok2 {
		if !ok1 {
			window = shed.DefaultWindow
		}
		if !ok2 {
			samples = shed.DefaultMinSamples
		}
		opts = append(opts, shed.WithWindow(window, samples))
	}
	set(o, &opts, "smoothing", number, shed.WithSmoothing)
	set(o, &opts, "tolerance", number, shed.WithTolerance)
	set(o, &opts, "slack", duration, shed.WithSlack)
	set(o, &opts, "probe_interval", duration, shed.WithProbeInterval)
	set(o, &opts, "retry_after", duration, shed.WithRetryAfter)
	o.switchable("cpu", func() { opts = append(opts, shed.WithoutCPU()) }, func() {
		o.inner("cpu", func(in *object) {
			set(in, &opts, "target", number, func(f float64) shed.Option { return shed.WithCPU(f, shed.OwnCPU) })
			set(in, &opts, "interval", duration, shed.WithCPUInterval)
		})
	})
	_, err := shed.New(someName, opts...)
	o.check(err)
	return opts
}
