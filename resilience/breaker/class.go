// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"errors"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// class is what an outcome means to a breaker.
type class uint8

const (
	classNone     class = iota // nobody learned anything: never counts
	classSuccess               // counts as a success
	classFailure               // counts as a failure
	classAnswered              // does not count, but answers a probe
)

// The results gobreaker is told in place of the calls' errors.
var (
	errFailed  = errors.New("breaker: failed")
	errIgnored = errors.New("breaker: does not count")
)

// isDownstreams reports whether a call that ended so tells of the downstream
// service's state, and whether it counts is a matter of opinion.
func isDownstreams(o resilience.Outcome) bool {
	switch o {
	case resilience.OutcomeServerFault, resilience.OutcomeTransient, resilience.OutcomeOverload, resilience.OutcomeTimeout:
		return true
	default:
		return false
	}
}

// classesOf returns the table of the package comment.
func classesOf(failures []resilience.Outcome) (table [resilience.OutcomeRejected + 1]class) {
	for o := range table {
		if isDownstreams(resilience.Outcome(o)) {
			table[o] = classAnswered
		}
	}
	table[resilience.OutcomeOK] = classSuccess
	table[resilience.OutcomeClientFault] = classSuccess
	for _, o := range failures {
		table[o] = classFailure
	}
	return table
}

// classOf returns what a call means that ended so after took. An outcome that this
// package does not know never counts.
func (c *config) classOf(o resilience.Outcome, took time.Duration) class {
	switch {
	case o == resilience.OutcomeCallerDeadline && c.patience > 0 && took >= c.patience:
		return classFailure
	case int(o) < len(c.classes):
		return c.classes[o]
	default:
		return classNone
	}
}

// result returns what gobreaker is told of a call.
func (c class) result(probe bool) error {
	switch {
	case c == classSuccess, c == classAnswered && probe:
		return nil
	case c == classFailure:
		return errFailed
	default:
		return errIgnored
	}
}
