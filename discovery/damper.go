// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// damper makes a steady state of health out of checks that may flap.
type damper struct {
	failAfter, passAfter int
	window               time.Duration // of passing, after which falls are forgotten

	passing bool
	begun   bool // there was a check
	passed  bool // … that passed
	streak  int  // checks in a row that disagree with passing
	falls   int  // how often passing ended, since it last lasted for the window
	fell    time.Time
}

// maxPassAfter bounds how many checks have to pass.
const maxPassAfter = 32

// observe takes the result of a check. The first one counts at once, and so does the
// first that passes: what begins is not flapping.
func (d *damper) observe(now time.Time, ok bool) (passing bool) {
	if !d.begun || ok && !d.passed {
		d.begun, d.passing, d.passed, d.streak = true, ok, d.passed || ok, 0
		return ok
	}
	if ok == d.passing {
		d.streak = 0
		return d.passing
	}
	d.streak++
	switch {
	case !ok && d.streak >= d.failAfter:
		if now.Sub(d.fell) >= d.window {
			d.falls = 0
		}
		d.passing, d.streak = false, 0
		d.falls++
		d.fell = now
	case ok && d.streak >= d.needed():
		d.passing, d.streak = true, 0
	}
	return d.passing
}

// needed returns how many checks have to pass: twice as many for each fall after the
// first, so that what goes up and down all the time ends as failing.
func (d *damper) needed() int {
	n := d.passAfter
	for range max(d.falls-1, 0) {
		if n >= maxPassAfter {
			break
		}
		n *= 2
	}
	return n
}

// undecided reports whether the last check disagrees with the state.
func (d *damper) undecided() bool { return d.streak > 0 }

// probe runs a health check on a goroutine of its own, of which there is one at a
// time, so that a check that hangs holds up nothing.
type probe struct {
	check   func(context.Context) error
	timeout time.Duration
	running chan error // of a check that has not returned; nil if there is none
	since   time.Time
}

func (p *probe) run(ctx context.Context) error {
	if p.check == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if p.running == nil {
		result := make(chan error, 1)
		p.running, p.since = result, time.Now()
		go func() {
			err := errors.New("discovery: the health check ended its goroutine")
			defer func() {
				if v := recover(); v != nil {
					err = fmt.Errorf("discovery: the health check panicked: %v", v)
				}
				result <- err
			}()
			err = p.check(ctx)
		}()
	}
	select {
	case err := <-p.running:
		p.running = nil
		return err
	case <-ctx.Done():
		return fmt.Errorf("discovery: the health check has not returned for %v", time.Since(p.since))
	}
}
