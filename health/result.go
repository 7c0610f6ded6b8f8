// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"time"
)

// Check asks a dependency whether it works. It should return when ctx ends; one that
// does not holds up nothing but itself.
type Check func(ctx context.Context) error

// State is what was last seen of a check.
type State uint8

// The states.
const (
	// StatePending: it has not run yet, or the goroutine that is watched has not beaten
	// yet.
	StatePending State = iota
	// StateOK: it passed.
	StateOK
	// StateTimeout: it took longer than it may, or what it waited for did.
	StateTimeout
	// StateError: it failed.
	StateError
	// StateStuck: it should have returned and has not, or the goroutine that is watched
	// has stopped beating.
	StateStuck
	// StateStale: it should have run and has not, for some intervals: the process does
	// not get round to it.
	StateStale
)

var stateNames = [...]string{"pending", "ok", "timeout", "error", "stuck", "stale"}

// String returns the name of the state in lower case, as in bodies and labels.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

// Criticality is what a failing check means. It is an [Option] and a [WatchOption].
type Criticality uint8

// The criticalities.
const (
	// Critical: the process is not ready. The default.
	Critical Criticality = iota
	// Optional: it is shown.
	Optional
	// Vital: the process is not ready, and not alive either: whoever asks [Set.Livez]
	// may restart it. Only for [Set.Watch]: no dependency gets better by a restart of
	// those who depend on it.
	Vital
)

var criticalityNames = [...]string{"critical", "optional", "vital"}

// String returns the name of the criticality in lower case, as in bodies and labels.
func (c Criticality) String() string {
	if int(c) < len(criticalityNames) {
		return criticalityNames[c]
	}
	return "invalid"
}

// Result is what is known of one check.
type Result struct {
	Name        string
	Criticality Criticality
	// Watchdog says that this is a goroutine that is watched ([Set.Watch]).
	Watchdog bool
	// State is what the last run found, and Since when it first did.
	State State
	Since time.Time
	// Passing is what counts: State, damped; see [WithDamping].
	Passing bool
	// Err is what the check returned. It may name hosts and more: it is for logs, not
	// for peers.
	Err error
	// Latency is how long the last run took. It is 0 for watchdogs.
	Latency time.Duration
	// At is when the last run ended; zero if there was none.
	At time.Time
	// Failures counts those in a row.
	Failures int
}

// stateOf names what a run returned.
func stateOf(err error) State {
	var slow interface{ Timeout() bool }
	var stuck stuckError
	switch {
	case err == nil:
		return StateOK
	case errors.Is(err, errPending):
		return StatePending
	case errors.As(err, &stuck):
		return StateStuck
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return StateTimeout
	}
	return StateError
}

// stuckError says what has not returned or beaten.
type stuckError string

func (e stuckError) Error() string { return string(e) }

var (
	errPending = errors.New("pending")
	errStale   = errors.New("health: not run when it was due: the process does not get round to it")
)
