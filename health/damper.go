// SPDX-License-Identifier: Apache-2.0

package health

import "time"

// damper makes a steady state out of runs that may flap.
type damper struct {
	failAfter, passAfter int
	window               time.Duration // of passing, after which falls are forgotten

	begun   bool // there was a run
	passed  bool // … and one that passed
	passing bool
	streak  int // runs in a row that disagree with passing
	falls   int // how often passing ended, since it last lasted for the window
	rose    time.Time
}

// maxPassAfter bounds how many runs have to pass.
const maxPassAfter = 32

// observe takes the result of a run. The first one counts at once, and so does the
// first that passes.
func (d *damper) observe(now time.Time, ok bool) (passing bool) {
	begun, passed := d.begun, d.passed
	d.begun, d.passed = true, d.passed || ok
	if ok == d.passing {
		d.streak = 0
		return d.passing
	}
	d.streak++
	switch {
	case ok && (!passed || d.streak >= d.needed()):
		d.passing, d.streak, d.rose = true, 0, now
	case !ok && (!begun || d.streak >= d.failAfter):
		if now.Sub(d.rose) >= d.window {
			d.falls = 0
		}
		d.passing, d.streak = false, 0
		d.falls++
	}
	return d.passing
}

// needed returns how many runs have to pass: twice as many for each fall after the
// first, so that what goes up and down all the time ends as failing.
func (d *damper) needed() int {
	n := d.passAfter
	for range d.falls - 1 {
		if n >= maxPassAfter {
			break
		}
		n = min(2*n, maxPassAfter)
	}
	return n
}

// undecided reports whether the last run disagrees with what counts.
func (d *damper) undecided() bool { return d.streak > 0 }
