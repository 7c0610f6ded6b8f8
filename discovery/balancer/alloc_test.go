// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"testing"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// TestAllocations: neither a pick nor the end of its call allocates, whatever its end, as
// long as it takes nobody out of picks.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, p := range policies {
		b := newBalancer(t, instances(100, func(i int, in *discovery.Instance) { in.Weight, in.Zone = 1+i%3, string(rune('a'+i%3)) }),
			balancer.WithPolicy(p), balancer.WithZone("a"), balancer.WithEjectAfter(0))
		for _, r := range []balancer.Result{balancer.OK, balancer.Failed, balancer.Overload, balancer.Ignored} {
			if n := testing.AllocsPerRun(100, func() {
				for range 50 { // an average is rounded down
					first, _ := b.Pick()
					pick, _ := b.Pick(first.Endpoint())
					first.Done(r)
					pick.Answered()
					pick.Done(r)
				}
			}); n != 0 {
				t.Errorf("%v: %v allocations for 100 calls that end as %v, want 0", p, n, r)
			}
		}
	}
}
