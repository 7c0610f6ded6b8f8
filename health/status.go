// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is whether a process can take requests, and if not, why.
//
//	             every check that matters passed
//	┌──────────┐                                ┌───────┐    one fails     ┌─────────┐
//	│ starting │───────────────────────────────▶│ ready │─────────────────▶│ failing │
//	└──────────┘                                └───────┘◀─────────────────└─────────┘
//	                                                        all pass again
//	from any:  Stop, Close ──▶ draining, for good
type Status uint8

// The statuses.
const (
	// StatusStarting: it was not started, or has not been ready yet.
	StatusStarting Status = iota
	// StatusReady: it can.
	StatusReady
	// StatusFailing: it was ready, and a check that matters does not pass.
	StatusFailing
	// StatusDraining: it is about to end.
	StatusDraining
)

var statusNames = [...]string{"starting", "ready", "failing", "draining"}

// String returns the name of the status in lower case, as in labels.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "invalid"
}

// UnreadyError says why a process cannot take requests. Its text and what it wraps are
// for logs, not for peers: they have what the checks returned.
type UnreadyError struct {
	Status Status
	// Results are those of the checks that matter and do not pass.
	Results []Result
	idle    bool // it was not started
}

// Error returns the status, and each check that does not pass.
func (e *UnreadyError) Error() string {
	var b strings.Builder
	b.WriteString("health: " + e.Status.String())
	if e.idle {
		b.WriteString(": the set was not started")
	}
	for i, r := range e.Results {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(r.Name + ": " + r.State.String())
		if r.Failures > 1 && !r.Watchdog {
			fmt.Fprintf(&b, ", %d in a row", r.Failures)
		}
		if r.State == StateOK {
			b.WriteString(", but not for long enough yet")
		}
		if r.Err != nil {
			fmt.Fprintf(&b, " (%v)", r.Err)
		}
	}
	return b.String()
}

// Unwrap returns what the checks returned.
func (e *UnreadyError) Unwrap() []error {
	var errs []error
	for _, r := range e.Results {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// Status returns whether the process can take requests.
func (s *Set) Status() Status {
	now := time.Now()
	for _, c := range *s.checks.Load() {
		if c.criticality != Optional && !c.passing(now) {
			return s.status(false)
		}
	}
	return s.status(true)
}

func (s *Set) status(passing bool) Status {
	switch {
	case s.stopping.Load():
		return StatusDraining
	case !s.started.Load():
		return StatusStarting
	case passing:
		return StatusReady
	case s.wasReady.Load():
		return StatusFailing
	}
	return StatusStarting
}

// Check returns nil if the process can take requests, and an [*UnreadyError] if not. It
// runs nothing and waits for nothing: it is for a registration's health, as
//
//	discovery.NewRegistrar(registry, namespace, instance, discovery.WithHealth(checks.Check))
//
// A process that does not get round to its checks fails, too: their results are stale.
func (s *Set) Check(context.Context) error {
	if s.Status() == StatusReady {
		return nil
	}
	return s.why(*s.checks.Load(), func(c *check) bool { return c.criticality != Optional })
}

// why returns what keeps those of the checks that matter from being ready, if anything
// still does.
func (s *Set) why(checks []*check, matters func(*check) bool) error {
	now := time.Now()
	e := &UnreadyError{idle: !s.started.Load()}
	for _, c := range checks {
		if matters(c) && !c.passing(now) {
			e.Results = append(e.Results, c.result(now))
		}
	}
	e.Status = s.status(len(e.Results) == 0)
	if e.Status == StatusReady {
		return nil
	}
	return e
}

// Alive reports whether the process works: no [Vital] goroutine has stopped beating.
// Dependencies have no say in it.
func (s *Set) Alive() bool {
	for _, c := range *s.checks.Load() {
		if c.criticality == Vital && c.record.Load().State == StateStuck {
			return false
		}
	}
	return true
}

// Group is some of the checks of a set: those that one service of several depends on.
// It is safe for concurrent use.
type Group struct {
	set    *Set
	checks []*check
}

// Group returns the checks of those names, which must have been added. All of them
// matter, whatever their criticality, and so does what is [Vital].
func (s *Set) Group(names ...string) (*Group, error) {
	g := &Group{set: s}
	for _, name := range names {
		checks := *s.checks.Load()
		i := slices.IndexFunc(checks, func(c *check) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("health: Group: there is no check %q: add it before", name)
		}
		g.checks = append(g.checks, checks[i])
	}
	return g, nil
}

// Status is as [Set.Status], for the group.
func (g *Group) Status() Status {
	now := time.Now()
	for _, c := range g.checks {
		if !c.passing(now) {
			return g.set.status(false)
		}
	}
	for _, c := range *g.set.checks.Load() {
		if c.criticality == Vital && !c.passing(now) {
			return g.set.status(false)
		}
	}
	return g.set.status(true)
}

// Check is as [Set.Check], for the group.
func (g *Group) Check(context.Context) error {
	if g.Status() == StatusReady {
		return nil
	}
	checks := slices.Clone(g.checks)
	for _, c := range *g.set.checks.Load() {
		if c.criticality == Vital && !slices.Contains(checks, c) {
			checks = append(checks, c)
		}
	}
	return g.set.why(checks, func(*check) bool { return true })
}
