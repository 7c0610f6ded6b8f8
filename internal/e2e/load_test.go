// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"
)

// load is requests that come whether or not others have been answered.
type load struct {
	perSecond float64
	// patience is how long a caller waits. What it gets after that is of no use.
	patience time.Duration
	// random says that the time between requests is, instead of always the same.
	random bool
}

// answered is what became of a request.
type answered struct {
	at   time.Duration // when it was sent, since the load began
	took time.Duration
	err  error
}

// run offers the load to do for a time, and waits until all of it is answered. A
// machine that is late sends what it owes at once: the load is what was asked for.
func (l load) run(ctx context.Context, d time.Duration, do step) offered {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    offered
		random = rand.New(rand.NewPCG(1, uint64(l.perSecond)))
		gap    = time.Duration(float64(time.Second) / l.perSecond)
		start  = time.Now()
		next   time.Duration
	)
	for next < d {
		if at := time.Since(start); at < next {
			pause(ctx, next-at)
		}
		wg.Go(func() {
			began := time.Since(start)
			err := l.one(ctx, do)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, answered{at: began, took: time.Since(start) - began, err: err})
		})
		if l.random {
			next += time.Duration(random.ExpFloat64() * float64(gap))
		} else {
			next += gap
		}
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b answered) int { return int(a.at - b.at) })
	return all
}

func (l load) one(ctx context.Context, do step) error {
	if l.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.patience)
		defer cancel()
	}
	return do(ctx)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// offered is all requests of a load, in the order of their times.
type offered []answered

// between returns those that were sent from from to to.
func (o offered) between(from, to time.Duration) offered {
	var part offered
	for _, a := range o {
		if from <= a.at && a.at < to {
			part = append(part, a)
		}
	}
	return part
}

// served returns how many succeeded.
func (o offered) served() int {
	n := 0
	for _, a := range o {
		if a.err == nil {
			n++
		}
	}
	return n
}

// share returns which share of them succeeded.
func (o offered) share() float64 { return float64(o.served()) / float64(max(len(o), 1)) }

// quantile returns how long requests took of which keep says yes.
func (o offered) quantile(q float64, keep func(answered) bool) time.Duration {
	var took []time.Duration
	for _, a := range o {
		if keep(a) {
			took = append(took, a.took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))]
}

// recovered returns how long after from it took until at least 95 % succeeded in
// every slot of that length from there on. It is -1 if that never happened.
func (o offered) recovered(from, slot time.Duration) time.Duration {
	if len(o) == 0 {
		return -1
	}
	last := o[len(o)-1].at
	good := time.Duration(-1)
	for at := from; at+slot <= last; at += slot {
		part := o.between(at, at+slot)
		if len(part) > 0 && part.share() < 0.95 {
			good = -1
		} else if good < 0 {
			good = at - from
		}
	}
	return good
}

// goroutines returns the most goroutines there were while f ran.
func goroutines(f func()) int {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	most := 0
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-done:
			tick.Stop()
			return most
		case <-tick.C:
			most = max(most, runtime.NumGoroutine())
		}
	}
}
