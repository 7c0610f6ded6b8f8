// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Set is the checks of one process, and whether it wants requests. Each check runs on a
// goroutine of its own, from [Set.Start] to [Set.Close]; whoever asks gets what the
// last run found. Make it with [NewSet]. It is safe for concurrent use.
type Set struct {
	observer Observer
	defaults checkConfig
	checks   atomic.Pointer[[]*check] // in the order in which they were added; replaced as a whole
	started  atomic.Bool
	wasReady atomic.Bool
	stopping atomic.Bool

	loops sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	subscribers []*subscriber
	told        Status // last
	dirty       bool   // what counts of a check has changed since
	telling     bool   // somebody is about it
}

// NewSet returns a set without checks. It is not ready before it is started. It fails
// on options that make no sense; the error names each.
func NewSet(opts ...SetOption) (*Set, error) {
	cfg := setConfig{defaults: newCheckConfig()}
	for _, o := range opts {
		o.applySet(&cfg)
	}
	defaults := cfg.defaults
	if err := defaults.resolve(); err != nil {
		return nil, fmt.Errorf("health: NewSet: %w", err)
	}
	s := &Set{observer: cfg.observer, defaults: cfg.defaults}
	s.checks.Store(new([]*check))
	return s, nil
}

// Add adds a check, which runs for the first time when the set is started, or now if it
// is. name is its key in bodies ("db" gives "db" and "db_ping_ms") and must be new: up
// to 64 letters, digits, "-", "_" and ".".
//
// Until its first run, a check that is not [Optional] keeps the process from being
// ready; see [WithAssumedPassing].
func (s *Set) Add(name string, run Check, opts ...Option) error {
	cfg := s.defaults
	for _, o := range opts {
		o.applyCheck(&cfg)
	}
	err := cfg.resolve()
	if run == nil {
		err = errors.Join(errors.New("nil check"), err)
	}
	if err := s.add(newCheck(name, run, cfg), err); err != nil {
		return fmt.Errorf("health: Add %q: %w", name, err)
	}
	return nil
}

// add adds a check if nothing is wrong with it.
func (s *Set) add(c *check, wrong error) error {
	errs := []error{wrong, checkName(c.name)}
	s.mu.Lock()
	checks := *s.checks.Load()
	if slices.ContainsFunc(checks, func(o *check) bool { return o.name == c.name }) {
		errs = append(errs, errors.New("there is a check of that name already"))
	}
	if s.closed {
		errs = append(errs, errors.New("the set is closed"))
	}
	if err := errors.Join(errs...); err != nil {
		s.mu.Unlock()
		return err
	}
	checks = append(slices.Clip(checks), c)
	s.checks.Store(&checks)
	if s.started.Load() {
		s.launch(c, 0)
	}
	s.mu.Unlock()
	s.tell(false)
	return nil
}

// names that bodies have keys of their own for.
var reserved = []string{"status", "timestamp", "failing", "checks", "error"}

// pingSuffix ends the key of a check's latency.
const pingSuffix = "_ping_ms"

func checkName(name string) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	switch {
	case name == "" || len(name) > 64 || strings.Trim(name, letters) != "":
		return errors.New(`the name must be 1 to 64 letters, digits, "-", "_" and "."`)
	case slices.Contains(reserved, name):
		return errors.New("the name is reserved: bodies have a key of their own for it")
	case strings.HasSuffix(name, pingSuffix):
		return fmt.Errorf("the name must not end in %q: that is the key of a latency", pingSuffix)
	}
	return nil
}

// remove takes a check out, and ends its loop.
func (s *Set) remove(c *check) {
	c.removed.Store(true)
	s.mu.Lock()
	checks := slices.DeleteFunc(slices.Clone(*s.checks.Load()), func(o *check) bool { return o == c })
	s.checks.Store(&checks)
	cancel := c.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	s.tell(true)
}

// Start begins to run the checks, 10 ms apart. It does not wait for them. Who starts a
// set closes it. Starting again does nothing.
func (s *Set) Start() {
	s.mu.Lock()
	if s.closed || s.started.Load() {
		s.mu.Unlock()
		return
	}
	for i, c := range *s.checks.Load() {
		s.launch(c, time.Duration(i)*stagger)
	}
	s.started.Store(true)
	s.mu.Unlock()
	s.tell(true)
}

// launch starts the loop of a check. s.mu is held.
func (s *Set) launch(c *check, after time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	if c.watchdog { // it has the time for a first beat
		after += c.interval
	}
	c.begin(after)
	s.loops.Go(func() {
		defer cancel()
		c.loop(ctx, after, func(before, now Result) { s.noted(c, before, now) })
	})
}

// noted tells of a run.
func (s *Set) noted(c *check, before, now Result) {
	if c.removed.Load() {
		return
	}
	observe.Tell(s.observer.Ran, now)
	if before.State == now.State && before.Passing == now.Passing {
		return
	}
	e := Change{
		Name: now.Name, Criticality: now.Criticality, From: before.State, To: now.State,
		WasPassing: before.Passing, Passing: now.Passing, Err: now.Err, Latency: now.Latency,
	}
	if !before.At.IsZero() {
		e.Lasted = now.At.Sub(before.Since)
	}
	observe.Tell(s.observer.Changed, e)
	s.tell(before.Passing != now.Passing)
}

// Stop makes the process unready for good: it is about to end. The checks go on, so
// that they are still seen. Subscribers have been told when it returns, or are being.
func (s *Set) Stop() {
	s.stopping.Store(true)
	s.tell(false)
}

// Stopping reports whether Stop was called.
func (s *Set) Stopping() bool { return s.stopping.Load() }

// Close stops the set, cancels the checks under way and waits for them, for at most a
// second for one that does not heed it. Closing again does nothing. It must not be
// called by a check or an observer.
func (s *Set) Close() {
	s.Stop()
	s.mu.Lock()
	s.closed = true
	for _, c := range *s.checks.Load() {
		if c.cancel != nil {
			c.cancel()
		}
	}
	s.mu.Unlock()
	s.loops.Wait()
}

// Results returns what is known of each check, in the order in which they were added.
func (s *Set) Results() []Result {
	checks, now := *s.checks.Load(), time.Now()
	results := make([]Result, len(checks))
	for i, c := range checks {
		results[i] = c.result(now)
	}
	return results
}
