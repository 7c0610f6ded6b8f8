// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what watchers, registrars, patrols and sweeps do. Every function is
// optional.
//
// They are called one after the other on the goroutine of the watch, the registration
// or the patrol concerned, outside of any lock: they may ask it anything, and must not
// block, because nothing else happens in it meanwhile. Different ones call them at the
// same time.
type Observer struct {
	// Delivered is called when what callers see of a service has changed, or where it
	// is from, or what is held.
	Delivered func(Delivery)
	// WatchFailed is called each time the registry could not be asked.
	WatchFailed func(WatchFailure)
	// Skipped is called once for each entry that makes no valid instance of the
	// service that was asked for.
	Skipped func(Skipped)
	// StoreFailed is called when a [Store] could not be read or written.
	StoreFailed func(Query, error)
	// StateChanged is called when a registration changes its state.
	StateChanged func(StateChange)
	// HeartbeatDone is called after each heartbeat.
	HeartbeatDone func(Heartbeat)
	// TTLChanged is called when the time to live of a registration changes.
	TTLChanged func(TTLChange)
	// FindingChanged is called when something is found to be wrong with the servers of
	// a registry, and when it is over.
	FindingChanged func(FindingChange)
	// PatrolDone is called after each round of a patrol.
	PatrolDone func(PatrolRound)
	// SweepDone is called after each pass of a sweep, on the goroutine that called
	// [Sweep.Pass].
	SweepDone func(SweepReport)
}

// Delivery is a snapshot as it is given to subscribers, and what is new about it.
type Delivery struct {
	Snapshot *Snapshot
	// Previous is the one before; nil for the first.
	Previous *Snapshot
	// Added, Removed and Changed count instances.
	Added, Removed, Changed int
}

// WatchFailure is a registry that could not be asked.
type WatchFailure struct {
	Query    Query
	Err      error
	Failures int // in a row, this one included
	Backoff  time.Duration
}

// Skipped is an entry that a watch left out.
type Skipped struct {
	Query Query
	Malformed
}

// StateChange is a registration that changed its state.
type StateChange struct {
	Key      Key
	From, To State
	// Err is what made it necessary, if something did.
	Err error
	// Failures is how many attempts failed in a row, and Next how long it will be to
	// the next one.
	Failures int
	Next     time.Duration
	// TTL is the time to live, if there is a registration.
	TTL time.Duration
}

// Heartbeat is one that was sent, or tried.
type Heartbeat struct {
	Key    Key
	Health Health
	// Reason is what the health check said, if it failed.
	Reason error
	Took   time.Duration
	Err    error
}

// TTLChange is a time to live that changed, because of pressure or because the
// registry granted another.
type TTLChange struct {
	Key      Key
	From, To time.Duration
	Reason   string
}

// Observers returns an observer that tells each of obs in turn.
func Observers(obs ...Observer) Observer {
	var out Observer
	for _, o := range obs {
		out.Delivered = observe.Both(out.Delivered, o.Delivered)
		out.WatchFailed = observe.Both(out.WatchFailed, o.WatchFailed)
		out.Skipped = observe.Both(out.Skipped, o.Skipped)
		out.StateChanged = observe.Both(out.StateChanged, o.StateChanged)
		out.HeartbeatDone = observe.Both(out.HeartbeatDone, o.HeartbeatDone)
		out.TTLChanged = observe.Both(out.TTLChanged, o.TTLChanged)
		out.FindingChanged = observe.Both(out.FindingChanged, o.FindingChanged)
		out.PatrolDone = observe.Both(out.PatrolDone, o.PatrolDone)
		out.SweepDone = observe.Both(out.SweepDone, o.SweepDone)
		switch a, b := out.StoreFailed, o.StoreFailed; {
		case a == nil:
			out.StoreFailed = b
		case b != nil:
			out.StoreFailed = func(q Query, err error) { a(q, err); b(q, err) }
		}
	}
	return out
}

// State is the state of a registration.
//
//	                     ┌───────────────────────── the registry forgot it ────────┐
//	                     ▼                                                         │
//	┌─────────┐   ┌─────────────┐   ┌────────────┐  read back  ┌─────────┐         │
//	│ pending │──▶│ registering │──▶│ registered │────────────▶│ visible │─────────┤
//	└─────────┘   └─────────────┘   └────────────┘             └─────────┘         │
//	                │ ▲   ▲ read back an-  │  no answer to heartbeats │            │
//	  too many      ▼ │   │ other's entry  ▼◀─────────────────────────┘            │
//	  failures   ┌──────┐ │            ┌──────┐                                    │
//	             │ open │ └────────────│ away │────────────────────────────────────┘
//	             └──────┘   conflict   └──────┘   back: visible
//	from any:  Deregister ──▶ stopped
type State uint8

// The states.
const (
	// StatePending: nothing was tried yet.
	StatePending State = iota
	// StateRegistering: being registered, or waiting to try again.
	StateRegistering
	// StateOpen: the circuit breaker is open: registering failed too often in a row,
	// and the registry gets a rest.
	StateOpen
	// StateRegistered: the registry accepted it; it was not read back yet.
	StateRegistered
	// StateVisible: it was read back as callers find it.
	StateVisible
	// StateAway: the registry does not answer heartbeats. What it knows holds until
	// the time to live is over; watchers keep it after that.
	StateAway
	// StateConflict: another process registered under the same id. This one leaves
	// the entry alone until that one is gone.
	StateConflict
	// StateStopped: deregistered, on demand.
	StateStopped
)

var stateNames = [...]string{"pending", "registering", "open", "registered", "visible", "away", "conflict", "stopped"}

// String returns the name of the state in lower case, as in labels.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}
