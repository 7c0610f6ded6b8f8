// SPDX-License-Identifier: Apache-2.0

package discoverytest_test

import (
	"fmt"
	"testing"

	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// ExampleRun is the test of a back end, as it stands in its package.
func ExampleRun() {
	_ = func(t *testing.T) { // TestConformance
		discoverytest.Run(t, func(discoverytest.TB) *discoverytest.Harness {
			registry := memory.New()
			return &discoverytest.Harness{
				Registry: registry, Catalog: registry,
				Faults: map[discoverytest.Fault]discoverytest.Play{
					discoverytest.Outage: func(discoverytest.TB) (end func()) {
						registry.Faults().Down(true)
						return func() { registry.Faults().Down(false) }
					},
				},
			}
		}, discoverytest.InBubble())
	}
	for _, r := range discoverytest.Rules()[:3] {
		fmt.Printf("%s: %s\n", r.Rule, r.Doc)
	}
	// Output:
	// first-answer: the first update is a full one, with all there is: callers wait for it
	// first-answer-empty: nothing is an answer, too: a full update without instances, and not silence
	// sees-changes: what is added, changed and removed is seen, without asking anew
}
