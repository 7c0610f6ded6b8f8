// SPDX-License-Identifier: Apache-2.0

// Package churn replaces instances of services while they are called: it adds one, and
// ends the oldest. Every other time, if instances can die, it kills the oldest.
//
//	c := churn.New(shop, time.Second, churn.Hooks{}, "inventory", "payment")
//	c.Run(ctx) // until ctx ends
//	c.Events()
package churn

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
)

const (
	// endTimeout bounds a replacement.
	endTimeout = 30 * time.Second
	// awaitTimeout bounds how long callers have to notice an instance that was added.
	awaitTimeout = 5 * time.Second
)

// Hooks are called for what becomes of instances. Each may be nil.
type Hooks struct {
	// Await waits until callers can call an instance that was added. If it fails, no
	// other is taken away from them.
	Await func(context.Context, app.Instance) error
	// Farewell is called before an instance is ended or killed.
	Farewell func(context.Context, app.Instance)
}

// Shop is what churn needs of an [app.Shop]. If it is an [app.Killer], too, it is used.
type Shop interface {
	Instances() []app.Instance
	Add(ctx context.Context, service string) (app.Instance, error)
	End(ctx context.Context, id string) error
}

// Act is what was done to an instance.
type Act string

// The acts.
const (
	Added  Act = "added"
	Ended  Act = "ended"
	Killed Act = "killed"
)

// Event is something that was done.
type Event struct {
	At       time.Time // when it began
	Took     time.Duration
	Act      Act
	Instance app.Instance
	Err      error
}

// Churn replaces instances. Make it with [New] and run it once. It is safe for
// concurrent use.
type Churn struct {
	shop     Shop
	every    time.Duration
	services []string
	hooks    Hooks

	mu     sync.Mutex
	events []Event
}

// New returns a churn of these services, in turn, one replacement each time that every
// is over.
func New(shop Shop, every time.Duration, hooks Hooks, services ...string) *Churn {
	return &Churn{shop: shop, every: every, services: services, hooks: hooks}
}

// Run replaces instances until ctx ends. A replacement that has begun is finished.
func (c *Churn) Run(ctx context.Context) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() == nil {
			c.replace(context.WithoutCancel(ctx), c.services[n%len(c.services)], n/len(c.services)%2 == 1)
		}
	}
}

// replace adds an instance of a service, and ends the oldest one or kills it.
func (c *Churn) replace(ctx context.Context, service string, kill bool) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if c.do(Added, func() (app.Instance, error) { return c.add(ctx, service) }) != nil {
		return // with one less it may be none
	}
	all := c.shop.Instances()
	oldest := all[slices.IndexFunc(all, func(i app.Instance) bool { return i.Name == service })]
	if c.hooks.Farewell != nil {
		c.hooks.Farewell(ctx, oldest)
	}
	if killer, ok := c.shop.(app.Killer); ok && kill {
		_ = c.do(Killed, func() (app.Instance, error) { return oldest, killer.Kill(ctx, oldest.ID) })
		return
	}
	_ = c.do(Ended, func() (app.Instance, error) { return oldest, c.shop.End(ctx, oldest.ID) })
}

// add adds an instance, and returns when it can be called.
func (c *Churn) add(ctx context.Context, service string) (app.Instance, error) {
	i, err := c.shop.Add(ctx, service)
	if err != nil || c.hooks.Await == nil {
		return i, err
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	return i, c.hooks.Await(ctx, i)
}

// do does something and writes it down.
func (c *Churn) do(act Act, f func() (app.Instance, error)) error {
	start := time.Now()
	i, err := f()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, Event{At: start, Took: time.Since(start), Act: act, Instance: i, Err: err})
	return err
}

// Events returns what was done so far.
func (c *Churn) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Count returns how many instances were added, ended and killed.
func Count(events []Event, act Act) (n int) {
	for _, e := range events {
		if e.Act == act && e.Err == nil {
			n++
		}
	}
	return n
}
