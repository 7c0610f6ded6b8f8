// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// stagger is the time between the first runs of checks that are started together.
	stagger = 10 * time.Millisecond
	// staleIntervals is how many intervals late a run may be.
	staleIntervals = 2
	// dampingIntervals is for how many intervals a check has to pass for its falls to
	// be forgotten.
	dampingIntervals = 20
	// closeGrace is how long a run that was canceled is waited for.
	closeGrace = time.Second
)

// check is one check, the goroutine that runs it, and the last that was heard of it.
type check struct {
	checkConfig
	name     string
	run      Check
	watchdog bool
	cancel   context.CancelFunc // of the loop; nil before it is started
	removed  atomic.Bool        // it counts no more
	record   atomic.Pointer[record]
	damper   damper // the loop's
}

// record is a result, and until when it is good. It is not changed once it is stored.
type record struct {
	Result
	until time.Time // zero: for ever
}

func newCheck(name string, run Check, cfg checkConfig) *check {
	c := &check{checkConfig: cfg, name: name, run: run}
	c.damper = damper{failAfter: cfg.failAfter, passAfter: cfg.passAfter, window: dampingIntervals * cfg.interval, passing: cfg.assumed}
	c.record.Store(&record{Result: Result{Name: name, Criticality: cfg.criticality, Passing: cfg.assumed}})
	return c
}

// passing reports what counts.
func (c *check) passing(now time.Time) bool {
	r := c.record.Load()
	return r.Passing && !r.stale(now) || c.removed.Load()
}

// result returns the last result, which may be stale by now.
func (c *check) result(now time.Time) Result {
	r := c.record.Load()
	out := r.Result
	if r.stale(now) {
		out.State, out.Since, out.Passing, out.Err = StateStale, r.until, false, errStale
	}
	return out
}

func (r *record) stale(now time.Time) bool { return !r.until.IsZero() && now.After(r.until) }

// due says how long the result is good if the next run is due then.
func (c *check) due(at time.Time) time.Time {
	return at.Add(staleIntervals*c.interval + c.timeout)
}

// begin readies the check for its loop, which runs it for the first time after a while.
func (c *check) begin(after time.Duration) {
	r := *c.record.Load()
	now := time.Now()
	r.Watchdog, r.Since, r.until = c.watchdog, now, c.due(now.Add(after))
	c.record.Store(&r)
}

// loop runs the check until ctx ends. noted is called after each run.
func (c *check) loop(ctx context.Context, after time.Duration, noted func(before, now Result)) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	var late lateRun
	for {
		select {
		case <-ctx.Done():
			late.wait()
			return
		case <-timer.C:
		}
		start := time.Now()
		var err error
		if late.isRunning() {
			err = stuckError(fmt.Sprintf("has not returned for %v", start.Sub(late.since).Round(time.Millisecond)))
		} else {
			late, err = c.once(ctx)
		}
		if ctx.Err() != nil {
			late.wait()
			return
		}
		before, now, next := c.note(start, err)
		noted(before, now)
		timer.Reset(time.Until(next))
	}
}

// lateRun is a run that has not returned in time. There is one at most: the check does
// not run again before it has.
type lateRun struct {
	returned <-chan error // nil: none
	since    time.Time
}

func (l *lateRun) isRunning() bool {
	select {
	case <-l.returned: //nolint:errcheck // too late to count
		*l = lateRun{}
	default:
	}
	return l.returned != nil
}

// wait gives a run that was canceled the time to return.
func (l lateRun) wait() {
	if l.returned == nil {
		return
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-l.returned: //nolint:errcheck // as above
	case <-timer.C:
	}
}

// once runs the check, and returns when it has, or should have.
func (c *check) once(ctx context.Context) (lateRun, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start, returned := time.Now(), make(chan error, 1)
	go func() { c.safely(ctx, returned) }()
	select {
	case err := <-returned:
		return lateRun{}, err
	case <-ctx.Done():
		return lateRun{returned, start}, fmt.Errorf("has not returned for %v: %w", c.timeout, context.Cause(ctx))
	}
}

// safely runs the check; one that panics or ends its goroutine has failed.
func (c *check) safely(ctx context.Context, returned chan<- error) {
	err := fmt.Errorf("health: check %q ended its goroutine", c.name)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("health: check %q panicked: %v", c.name, v)
		}
		returned <- err
	}()
	err = c.run(ctx)
}

// note stores what a run returned, and returns when the next one is due.
func (c *check) note(start time.Time, err error) (before, after Result, next time.Time) {
	before = c.record.Load().Result
	end := time.Now()
	r := before
	r.State, r.Err, r.At = stateOf(err), err, end
	if !c.watchdog {
		r.Latency = end.Sub(start)
	}
	if r.State != before.State || before.At.IsZero() {
		r.Since = end
	}
	switch r.State {
	case StateOK:
		r.Failures = 0
	case StatePending:
	default:
		r.Failures++
	}
	if r.State != StatePending {
		r.Passing = c.damper.observe(end, r.State == StateOK)
	}
	interval := c.interval
	if c.damper.undecided() {
		interval = c.again
	}
	next = start.Add(interval - time.Duration(rand.Float64()*c.jitter*float64(interval)))
	if earliest := end.Add(c.again); next.Before(earliest) && !c.watchdog {
		next = earliest
	}
	c.record.Store(&record{r, c.due(next)})
	return before, r, next
}
