// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// DegradedKey is the request log's key for the name of the fallback that stood
// in for what failed.
const DegradedKey = "degraded"

// Degrade marks the innermost call in ctx, and every call of this process that it
// is made for, as degraded: what its caller gets is not what it asked for, or not
// all of it, because the fallback of that name stood in. Servers tell their
// callers so. Calls that are finished stay as they are. It is safe for concurrent
// use.
func Degrade(ctx context.Context, name string) {
	for c := FromContext(ctx); c != nil; c = c.enclosing() {
		c.SetDegraded(name)
	}
}

// enclosing returns the call that c is made for, or nil.
func (c *Call) enclosing() *Call {
	s := scope.From(c.Parent())
	if s == nil {
		return nil
	}
	outer, _ := s.Owner.(*Call)
	return outer
}

// SetDegraded marks this call alone as degraded, by the fallback of that name:
// see [Degrade]. The first name counts. A call that is finished stays as it is.
func (c *Call) SetDegraded(name string) {
	if c.finished.Load() || c.degraded.Load() != nil {
		return
	}
	kept := name // which is on the heap, and not name of every call
	c.degraded.CompareAndSwap(nil, &kept)
}

// Degraded returns the name of the fallback that stood in for what failed, or "".
func (c *Call) Degraded() string {
	if name := c.degraded.Load(); name != nil {
		return *name
	}
	return ""
}
