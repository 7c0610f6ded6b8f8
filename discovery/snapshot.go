// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"time"
)

// Snapshot is what is known of a service at one time. It is immutable, with its
// instances, and safe for concurrent use.
type Snapshot struct {
	Query Query
	// Version counts the changes of Instances that a [Watcher] delivered for the
	// query, from 1; 0 if nothing is known yet. Two snapshots of the same version
	// have the same instances and differ in the rest.
	Version uint64
	// Instances are those that may be called: none that is failing.
	Instances *Set
	// Origin says where they are from.
	Origin Origin
	// At is when the registry last said so.
	At time.Time
	// Held is how many of the instances the registry does not list (any more): they
	// went away in a manner that is suspicious, see [Hold].
	Held int
	// Hold is why, and Until the time at which it ends if nothing changes; zero if it
	// does not end by itself.
	Hold  Hold
	Until time.Time
	// Err is why the registry could not be asked, if it could not.
	Err error
}

// Problem returns what to tell callers if there is no instance for them, or nil if
// there is one: it matches [ErrNoInstances], [ErrNotAnswered] or [ErrStale], and
// wraps the registry's error. A gRPC resolver passes it to ReportError and leaves its
// addresses as they are.
func (s *Snapshot) Problem() error {
	switch {
	case s.Instances.Len() > 0:
		return nil
	case s.Err == nil:
		return fmt.Errorf("%w of %s: the registry was asked and has none that passes its checks", ErrNoInstances, s.Query)
	case errors.Is(s.Err, ErrStale), errors.Is(s.Err, ErrNotAnswered):
		return s.Err
	default:
		return fmt.Errorf("%w of %s are known: %w", ErrNoInstances, s.Query, s.Err)
	}
}

// Origin is where the instances of a snapshot are from.
type Origin uint8

// The origins.
const (
	// OriginNone: nothing is known.
	OriginNone Origin = iota
	// OriginLive: the registry says so, now.
	OriginLive
	// OriginLastKnownGood: the registry said so before it was lost.
	OriginLastKnownGood
	// OriginDisk: a process before this one knew it.
	OriginDisk
	// OriginFallback: another registry than the one that was meant says so.
	OriginFallback
)

var originNames = [...]string{"none", "live", "last-known-good", "disk", "fallback"}

// String returns "none", "live", "last-known-good", "disk" or "fallback", as in
// labels.
func (o Origin) String() string {
	if int(o) < len(originNames) {
		return originNames[o]
	}
	return "invalid"
}

// Hold is a reason to keep instances that the registry does not list.
type Hold uint8

// The holds.
const (
	// HoldNone: there is none.
	HoldNone Hold = iota
	// HoldEmpty: the registry lists no instance at all, after it listed some. See
	// [WithEmptyHold].
	HoldEmpty
	// HoldChurn: more instances went away within a short time than are left. See
	// [WithChurnBrake].
	HoldChurn
	// HoldRecovery: the registry is back after it was lost, or another one answers,
	// and instances are about to register again. See [WithConfirmTime].
	HoldRecovery
)

var holdNames = [...]string{"none", "empty", "churn", "recovery"}

// String returns "none", "empty", "churn" or "recovery", as in labels.
func (h Hold) String() string {
	if int(h) < len(holdNames) {
		return holdNames[h]
	}
	return "invalid"
}
