// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what a set finds. Every function is optional.
//
// Ran and Changed are called on the goroutine of the check, one after the other for one
// check, and at the same time for different ones. StatusChanged is called by one
// goroutine at a time, whichever found the change. All are called outside of any lock:
// they may ask the set anything but [Set.Close], and must not block: a check whose
// observer does becomes stale.
type Observer struct {
	// Ran is called after each run of a check, and each look at a watchdog.
	Ran func(Result)
	// Changed is called when a check's state has changed, or what counts of it.
	Changed func(Change)
	// StatusChanged is called when the set's status has changed.
	StatusChanged func(StatusChange)
}

// Change is a check that changed.
type Change struct {
	Name        string
	Criticality Criticality
	// From and To are states, which may be the same if only Passing has changed.
	From, To State
	// Passing is what counts now, and WasPassing what counted before; see [WithDamping].
	WasPassing, Passing bool
	// Err is what the check returned: for logs, not for peers.
	Err     error
	Latency time.Duration
	// Lasted is how long the state before was held; 0 for the first.
	Lasted time.Duration
}

// StatusChange is a set whose status changed. Several changes that follow at once may
// come as one.
type StatusChange struct {
	From, To Status
	// Err says what is not as it should be, as [Set.Check] does; nil if all is.
	Err error
}

// Observers returns an observer that tells each of obs in turn.
func Observers(obs ...Observer) Observer {
	var out Observer
	for _, o := range obs {
		out.Ran = observe.Both(out.Ran, o.Ran)
		out.Changed = observe.Both(out.Changed, o.Changed)
		out.StatusChanged = observe.Both(out.StatusChanged, o.StatusChanged)
	}
	return out
}
