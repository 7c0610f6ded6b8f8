// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"fmt"
	"time"
)

// LeftoverKind is a kind of thing that should not be in a registry.
type LeftoverKind uint8

// The kinds of leftovers. An entry is of the first one that fits.
const (
	// LeftoverForeign: not written by this library, or by a version that this build
	// does not know, or an instance of another namespace than that of its place.
	LeftoverForeign LeftoverKind = iota
	// LeftoverExpired: its time to live is over, and it is still listed.
	LeftoverExpired
	// LeftoverImmortal: nothing keeps it up and nothing ends it: what an instance
	// leaves behind that was written without a time to live, or whose time to live was
	// taken away. Callers call it for ever.
	LeftoverImmortal
	// LeftoverMalformed: marked as this library's, and no valid instance.
	LeftoverMalformed
	// LeftoverDuplicate: another id of the same service has the same address. Callers
	// send it a double share of their calls.
	LeftoverDuplicate
)

var leftoverNames = [...]string{"foreign", "expired", "immortal", "malformed", "duplicate"}

// LeftoverKinds returns all kinds.
func LeftoverKinds() []LeftoverKind {
	kinds := make([]LeftoverKind, len(leftoverNames))
	for i := range kinds {
		kinds[i] = LeftoverKind(i)
	}
	return kinds
}

// String returns the name of the kind in lower case, as in labels.
func (k LeftoverKind) String() string {
	if int(k) < len(leftoverNames) {
		return leftoverNames[k]
	}
	return "invalid"
}

// Leftover is something that should not be in a registry.
type Leftover struct {
	Kind  LeftoverKind
	Entry Entry
	// Other is the key of another entry with the same address, for a duplicate.
	Other string
	// Since is when it was first found as it is; that of the report if it is new.
	Since time.Time
	// Removed says that this pass removed it, and Err why it could not, if it tried.
	Removed bool
	Err     error
}

// String returns the kind, the key and what is known of the reason.
func (l Leftover) String() string {
	text := l.Kind.String() + ": " + l.Entry.Key
	switch {
	case l.Kind == LeftoverDuplicate:
		text += ": same address as " + l.Other
	case l.Entry.Err != nil:
		text += ": " + l.Entry.Err.Error()
	}
	return text
}

// classify says what is wrong with an entry by itself.
func classify(ns Namespace, e *Entry) (kind LeftoverKind, wrong bool) {
	switch {
	case !e.Ours:
		return LeftoverForeign, true
	case e.Namespace != ns || e.Instance != nil && e.Instance.Namespace != ns:
		if e.Err == nil {
			e.Err = fmt.Errorf("%w: found in the entries of %q", ErrForeignNamespace, string(ns))
		}
		return LeftoverForeign, true
	case e.Expired:
		return LeftoverExpired, true
	case !e.Expires:
		return LeftoverImmortal, true
	case e.Instance == nil:
		return LeftoverMalformed, true
	default:
		return 0, false
	}
}

// removable reports whether a leftover may be removed, if it lasts.
func (l *Leftover) removable(ns Namespace) bool {
	e := &l.Entry
	return (l.Kind == LeftoverExpired || l.Kind == LeftoverImmortal) &&
		e.Ours && e.Namespace == ns && (e.Instance == nil || e.Instance.Namespace == ns)
}

func compareLeftovers(a, b Leftover) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Entry.Key, b.Entry.Key))
}
