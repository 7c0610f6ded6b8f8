// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrInjected is what a struck call fails with.
var ErrInjected = errors.New("chaos: injected fault")

// The dependencies that can be made to fail.
const (
	DB      = "db"
	Payment = "payment"
)

// targets are the names that Parse accepts.
var targets = []string{DB, Payment}

// Fault is what is wrong with one dependency. The zero value is a healthy one.
// It is a value and safe for concurrent use.
type Fault struct {
	// Delay is added to every call.
	Delay time.Duration
	// FailRate is the fraction of calls that fail, 0 to 1.
	FailRate float64
}

// Strike waits for the fault's delay and then returns ErrInjected if this call
// is one of those that fail. It returns the context's error as soon as ctx ends.
func (f Fault) Strike(ctx context.Context) error {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.FailRate > 0 && rand.Float64() < f.FailRate {
		return ErrInjected
	}
	return nil
}

// Faults maps a dependency to what is wrong with it; one that is not in the map
// is healthy.
type Faults map[string]Fault

// Parse reads a comma-separated list of faults, each "<dependency>=<fault>" with
// dependency "db" or "payment" and fault "slow:<duration>", "fail:<fraction>" or
// "down". Several faults of one dependency add up. The empty string is no fault.
func Parse(spec string) (Faults, error) {
	faults := make(Faults)
	for item := range strings.SplitSeq(spec, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		target, what, _ := strings.Cut(item, "=")
		if !slices.Contains(targets, target) {
			return nil, fmt.Errorf("chaos: %q: unknown dependency %q, want one of %s", item, target, strings.Join(targets, ", "))
		}
		f, err := faults[target].with(what)
		if err != nil {
			return nil, fmt.Errorf("chaos: %q: %w", item, err)
		}
		faults[target] = f
	}
	return faults, nil
}

// with returns f with one more thing wrong.
func (f Fault) with(what string) (Fault, error) {
	kind, arg, _ := strings.Cut(what, ":")
	switch kind {
	case "slow":
		d, err := time.ParseDuration(arg)
		if err != nil || d <= 0 {
			return f, fmt.Errorf("delay is %q, must be a positive duration such as 200ms", arg)
		}
		f.Delay += d
	case "fail":
		r, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(r > 0 && r <= 1) {
			return f, fmt.Errorf("fraction is %q, must be above 0 and at most 1", arg)
		}
		f.FailRate = min(1, f.FailRate+r)
	case "down":
		f.FailRate = 1
	default:
		return f, fmt.Errorf("fault is %q, must be slow:<duration>, fail:<fraction> or down", what)
	}
	return f, nil
}
