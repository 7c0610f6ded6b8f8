// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what a balancer decides, other than picks: those are counted, in
// [Stats]. Every function is optional. They are called on the goroutine of whoever
// picks, ends a call or updates, outside of any lock: they may ask the balancer
// anything, and must not block. Different goroutines may call them at the same time.
type Observer struct {
	// Updated is called when endpoints were added, removed or changed.
	Updated func(Update)
	// Ejected is called when an endpoint is ejected for its failures.
	Ejected func(Ejection)
	// Spared is called when an endpoint would have been ejected, and too many are.
	Spared func(Ejection)
	// Returned is called when an endpoint is not ejected, set aside or unreachable any
	// more.
	Returned func(Return)
	// Unreachable is called when an endpoint is out of picks because it could not be
	// reached.
	Unreachable func(Unreached)
	// ZoneShared is called when the share of calls that stay in the zone changes.
	ZoneShared func(ZoneShare)
	// Panicked is called when so many endpoints are ejected or set aside that this is
	// ignored, and when it is not any more.
	Panicked func(Panic)
}

// Update is a change of the endpoints.
type Update struct {
	Added, Removed, Changed int
	Endpoints               int // after it
}

// Ejection is an endpoint that is ejected.
type Ejection struct {
	Instance *discovery.Instance
	Reason   Reason
	// For is how long, and Times how many ejections that is the sum of.
	For   time.Duration
	Times int
}

// Return is an endpoint that is back.
type Return struct {
	Instance *discovery.Instance
	Reason   Reason // why it was out
}

// Unreached is an endpoint that could not be reached.
type Unreached struct {
	Instance *discovery.Instance
	// Backoff is how long it is out of picks, and Failures how often in a row it
	// could not be reached.
	Backoff  time.Duration
	Failures int
}

// ZoneShare is the share of calls that stay in the zone.
type ZoneShare struct {
	Zone     string
	From, To float64 // 0 to 1
}

// Panic says whether ejections are ignored.
type Panic struct {
	On     bool
	Usable int // endpoints that are neither ejected nor set aside
	Of     int // endpoints that can be reached
}

// Reason is why an endpoint is out of picks.
type Reason uint8

// The reasons.
const (
	// ReasonConsecutive: it failed too often in a row.
	ReasonConsecutive Reason = iota
	// ReasonFailureShare: too great a share of its calls failed.
	ReasonFailureShare
	// ReasonDeviation: it failed much more often than the others.
	ReasonDeviation
	// ReasonOverload: it asked not to be called for some time.
	ReasonOverload
	// ReasonUnreachable: it could not be reached.
	ReasonUnreachable

	numReasons
)

var reasonNames = [numReasons]string{"consecutive", "failure_share", "deviation", "overload", "unreachable"}

// String returns "consecutive", "failure_share", "deviation", "overload" or
// "unreachable", as in labels.
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "invalid"
}

// Observers returns an observer that tells each of obs in turn.
func Observers(obs ...Observer) Observer {
	var out Observer
	for _, o := range obs {
		out.Updated = observe.Both(out.Updated, o.Updated)
		out.Ejected = observe.Both(out.Ejected, o.Ejected)
		out.Spared = observe.Both(out.Spared, o.Spared)
		out.Returned = observe.Both(out.Returned, o.Returned)
		out.Unreachable = observe.Both(out.Unreachable, o.Unreachable)
		out.ZoneShared = observe.Both(out.ZoneShared, o.ZoneShared)
		out.Panicked = observe.Both(out.Panicked, o.Panicked)
	}
	return out
}
