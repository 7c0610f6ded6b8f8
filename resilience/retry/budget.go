// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults.
const (
	DefaultShare  = 0.1
	DefaultFloor  = 3.0
	DefaultWindow = 2 * time.Second
)

// budgetSlots is how many slots a window has.
const budgetSlots = 10

// Budget bounds the retries to one downstream service: in the window that ends with
// any of them they are no more than a share of the calls or, if that is more, a floor
// per second, which is for services with little traffic.
//
//	retries(window) ≤ max(share × calls(window), floor × window)
//
// So it is for all time: without a floor, there are never more retries than the share
// of all calls so far. The window moves in steps of a tenth. All of its retries may
// come at once, as they do when an instance goes away.
//
// Share one among everything that retries or hedges calls to the same service. Its
// zero value is not usable: use [NewBudget]. It is safe for concurrent use: counting
// a call takes no lock, taking a token takes one of the budget's own.
type Budget struct {
	share     float64
	perWindow float64 // floor × window
	slot      time.Duration

	calls   [budgetSlots]slotCounter
	mu      sync.Mutex // for taking tokens
	retries [budgetSlots]slotCounter
}

// BudgetOption changes a [Budget] under construction.
type BudgetOption interface{ applyBudget(*budgetConfig) }

type budgetOption func(*budgetConfig)

func (o budgetOption) applyBudget(c *budgetConfig) { o(c) }

type budgetConfig struct {
	share, floor float64
	window       time.Duration
}

// WithShare sets how many retries there may be for each call, a fraction from 0 to 1.
// The default is [DefaultShare]; with 0 there is the floor only.
func WithShare(fraction float64) BudgetOption {
	return budgetOption(func(c *budgetConfig) { c.share = fraction })
}

// WithFloor sets how many retries a second there may be whatever the traffic. The
// default is [DefaultFloor]; with 0 there is the share only.
func WithFloor(perSecond float64) BudgetOption {
	return budgetOption(func(c *budgetConfig) { c.floor = perSecond })
}

// WithWindow sets the time over which calls and retries are counted, 10 ms at least.
// The default is [DefaultWindow]. A long one lets more retries come at once.
func WithWindow(d time.Duration) BudgetOption {
	return budgetOption(func(c *budgetConfig) { c.window = d })
}

// NewBudget returns a budget in which nothing has been counted yet. It fails on a
// share that is not a fraction, a floor that is negative or comes to less than one
// retry a window, and a window shorter than 10 ms.
func NewBudget(opts ...BudgetOption) (*Budget, error) {
	c := budgetConfig{share: DefaultShare, floor: DefaultFloor, window: DefaultWindow}
	for _, o := range opts {
		o.applyBudget(&c)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Budget{share: c.share, perWindow: c.floor * c.window.Seconds(), slot: c.window / budgetSlots}, nil
}

func (c *budgetConfig) validate() error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("retry: budget: %s %v: must %s", field, value, rule))
		}
	}
	check(c.share >= 0 && c.share <= 1, "share", c.share, "be a fraction from 0 to 1")
	check(c.window >= 10*time.Millisecond, "window", c.window, "be at least 10ms")
	check(c.floor >= 0 && !math.IsInf(c.floor, 0), "floor", c.floor, "be a number of retries a second, not negative")
	if len(errs) == 0 && c.floor > 0 {
		check(c.floor*c.window.Seconds() >= 1, "floor", c.floor, fmt.Sprintf("be 0 or come to a retry in the window of %v: be at least %v", c.window, 1/c.window.Seconds()))
	}
	return errors.Join(errs...)
}

// Deposit counts a call, whatever becomes of it. Policies do it themselves.
func (b *Budget) Deposit() { b.deposit(now()) }

func (b *Budget) deposit(t time.Duration) {
	epoch := b.epoch(t)
	b.calls[epoch%budgetSlots].add(epoch)
}

// Withdraw takes a token for one retry. It returns false, and takes none, if there
// is none to take. Policies do it themselves.
func (b *Budget) Withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	epoch := b.epoch(now())
	if b.remaining(epoch) < 1 {
		return false
	}
	b.retries[epoch%budgetSlots].add(epoch)
	return true
}

// Remaining returns how many retries there may be at once now. It takes no lock.
func (b *Budget) Remaining() float64 { return b.remaining(b.epoch(now())) }

func (b *Budget) remaining(epoch uint32) float64 {
	var calls, retries uint32
	for i := range budgetSlots {
		calls += b.calls[i].in(epoch)
		retries += b.retries[i].in(epoch)
	}
	return max(0, max(b.share*float64(calls), b.perWindow)-float64(retries))
}

// epoch numbers the slots of all time. What comes before origin, as the virtual
// time of a test may, is far in the future and as good.
func (b *Budget) epoch(t time.Duration) uint32 { return uint32(t / b.slot) }

// slotCounter is the number of events in one slot: the slot's epoch in the upper
// half and the count in the lower, so that both change as one.
type slotCounter struct{ word atomic.Uint64 }

// add counts an event. One that comes late, to a counter that has moved on, counts
// where it comes.
func (c *slotCounter) add(epoch uint32) {
	for {
		w := c.word.Load()
		if int32(epoch-uint32(w>>32)) <= 0 && w != 0 {
			c.word.Add(1)
			return
		}
		if c.word.CompareAndSwap(w, uint64(epoch)<<32|1) {
			return
		}
	}
}

// in returns the count if the counter's slot is in the window that ends with epoch.
func (c *slotCounter) in(epoch uint32) uint32 {
	w := c.word.Load()
	if int32(epoch-uint32(w>>32)) >= budgetSlots {
		return 0
	}
	return uint32(w)
}
