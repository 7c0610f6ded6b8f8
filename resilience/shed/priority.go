// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"context"
	"fmt"
	"strings"
)

// Priority says how much it matters that a call is served. The zero value is
// [PriorityNormal]. Higher ones are shed later.
type Priority int8

// The priorities, from the first to be shed to the last.
const (
	// PrioritySheddable is work that is done for good measure, or that comes back
	// by itself: prefetches, crawlers, batches.
	PrioritySheddable Priority = iota - 1
	// PriorityNormal is somebody who waits.
	PriorityNormal
	// PriorityCritical is what hurts most when it fails: a payment, a login.
	PriorityCritical
	// PriorityHealth is what others decide by whether this process lives. Refusing
	// it takes the process out of service, and its load goes to the next.
	PriorityHealth
)

// numPriorities is how many there are.
const numPriorities = int(PriorityHealth-PrioritySheddable) + 1

// rank returns the index of p, 0 for the first to be shed. A value that is none of
// the priorities is normal.
func (p Priority) rank() int {
	if p < PrioritySheddable || p > PriorityHealth {
		p = PriorityNormal
	}
	return int(p - PrioritySheddable)
}

var priorityNames = [numPriorities]string{"sheddable", "normal", "critical", "health"}

// String returns "sheddable", "normal", "critical" or "health", as in labels.
func (p Priority) String() string {
	if p < PrioritySheddable || p > PriorityHealth {
		return "invalid"
	}
	return priorityNames[p.rank()]
}

// ParsePriority returns the priority of that name.
func ParsePriority(name string) (Priority, error) {
	for i, n := range priorityNames {
		if n == name {
			return PrioritySheddable + Priority(i), nil
		}
	}
	return 0, fmt.Errorf("shed: priority %q: must be one of %s", name, strings.Join(priorityNames[:], ", "))
}

type priorityKey struct{}

// ContextWithPriority returns a context whose calls have that priority, whatever a
// [PriorityFunc] says. It is this process's word: do not set it from what a peer sends
// unless the peer is trusted.
func ContextWithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// PriorityFrom returns the priority of [ContextWithPriority], and whether there is
// one.
func PriorityFrom(ctx context.Context) (Priority, bool) {
	p, ok := ctx.Value(priorityKey{}).(Priority)
	return p, ok
}

// PriorityFunc returns the priority of a call by its method: a full gRPC method such
// as "/grpc.health.v1.Health/Check", or an HTTP path. It is called for each call,
// must not block, and must be safe for concurrent use.
type PriorityFunc func(ctx context.Context, method string) Priority

// ByMethod is the [PriorityFunc] used if there is no other: gRPC's health service and
// the paths /livez, /readyz and /healthz are [PriorityHealth], all else is
// [PriorityNormal].
func ByMethod(_ context.Context, method string) Priority {
	switch {
	case strings.HasPrefix(method, "/grpc.health.v1.Health/"),
		method == "/livez", method == "/readyz", method == "/healthz":
		return PriorityHealth
	default:
		return PriorityNormal
	}
}
