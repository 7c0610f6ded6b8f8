// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults maps a dependency to what is wrong with it; one that is not in the map
// is healthy.
type Faults map[string]Fault

// maxPerSecond bounds a capacity: what is above is none.
const maxPerSecond = 100_000

// Parse reads a comma-separated list of faults, each "<dependency>=<fault>" with
// dependency "db", "inventory" or "payment" and fault one of
//
//	slow:<duration>[/<fraction>]         each call, or a fraction of them, takes so much longer
//	fail:<fraction>                      a fraction fails
//	down                                 all fail
//	flap:<failing>/<well>                all fail for one duration, none for the next, and so on
//	overload:<calls per second>          the capacity, beyond which calls wait for each other
//	lose:<fraction>                      payment only: a fraction does its work and then fails
//	retry-after:<duration>[/<fraction>]  payment only: turns all away, or a fraction, and says for
//	                                     how long; then serves for as long, and so on
//
// A dependency may have several faults, each kind once. The empty string is no
// fault.
func Parse(spec string) (Faults, error) {
	faults := make(Faults)
	for item := range strings.SplitSeq(spec, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		target, what, _ := strings.Cut(item, "=")
		if !slices.Contains([]string{DB, Inventory, Payment}, target) {
			return nil, fmt.Errorf("chaos: %q: unknown dependency %q, must be db, inventory or payment", item, target)
		}
		f := faults[target]
		if err := f.add(target, what); err != nil {
			return nil, fmt.Errorf("chaos: %q: %w", item, err)
		}
		faults[target] = f
	}
	return faults, nil
}

// kinds are the faults by name, each with what reads its argument.
var kinds = map[string]func(f *Fault, arg string) error{
	"slow":        (*Fault).slow,
	"fail":        (*Fault).fail,
	"down":        (*Fault).down,
	"flap":        (*Fault).flap,
	"overload":    (*Fault).overload,
	"lose":        (*Fault).lose,
	"retry-after": (*Fault).retryAfter,
}

// paymentOnly are the kinds that need a handler of their own.
var paymentOnly = []string{"lose", "retry-after"}

// errTwice says that there is one fault too many.
var errTwice = errors.New("this dependency has such a fault already")

// add adds one more thing that is wrong.
func (f *Fault) add(target, what string) error {
	kind, arg, _ := strings.Cut(what, ":")
	read, ok := kinds[kind]
	if !ok {
		return fmt.Errorf("fault is %q, must be one of %s", what, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	if slices.Contains(paymentOnly, kind) && target != Payment {
		return fmt.Errorf("fault is %q, which only payment can have", kind)
	}
	return read(f, arg)
}

func (f *Fault) slow(arg string) (err error) {
	if f.Slow != (Slow{}) {
		return errTwice
	}
	f.Slow.Delay, f.Slow.Fraction, err = durationAndFraction(arg)
	return err
}

func (f *Fault) fail(arg string) (err error) {
	if f.FailRate > 0 {
		return errTwice
	}
	f.FailRate, err = fraction(arg)
	return err
}

func (f *Fault) down(arg string) error {
	if arg != "" {
		return fmt.Errorf("down has no argument, and is followed by %q", arg)
	}
	return f.fail("1")
}

func (f *Fault) flap(arg string) (err error) {
	if f.Flap != (Flap{}) {
		return errTwice
	}
	failing, well, _ := strings.Cut(arg, "/")
	if f.Flap.Failing, err = duration(failing); err != nil {
		return err
	}
	f.Flap.Well, err = duration(well)
	return err
}

func (f *Fault) overload(arg string) error {
	if f.Overload != (Overload{}) {
		return errTwice
	}
	n, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(n > 0 && n <= maxPerSecond) {
		return fmt.Errorf("capacity is %q, must be calls per second, above 0 and at most %d", arg, maxPerSecond)
	}
	f.Overload.PerSecond = n
	return nil
}

func (f *Fault) lose(arg string) (err error) {
	if f.LoseRate > 0 {
		return errTwice
	}
	f.LoseRate, err = fraction(arg)
	return err
}

func (f *Fault) retryAfter(arg string) (err error) {
	if f.Away != (Away{}) {
		return errTwice
	}
	f.Away.For, f.Away.Fraction, err = durationAndFraction(arg)
	return err
}

// durationAndFraction reads "<duration>", of everything, or
// "<duration>/<fraction>".
func durationAndFraction(arg string) (d time.Duration, part float64, err error) {
	first, second, ok := strings.Cut(arg, "/")
	if d, err = duration(first); err != nil || !ok {
		return d, 1, err
	}
	part, err = fraction(second)
	return d, part, err
}

func duration(arg string) (time.Duration, error) {
	d, err := time.ParseDuration(arg)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("duration is %q, must be positive, such as 200ms", arg)
	}
	return d, nil
}

func fraction(arg string) (float64, error) {
	r, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(r > 0 && r <= 1) {
		return 0, fmt.Errorf("fraction is %q, must be above 0 and at most 1", arg)
	}
	return r, nil
}
