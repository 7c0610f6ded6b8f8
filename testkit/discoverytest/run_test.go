// SPDX-License-Identifier: Apache-2.0

package discoverytest_test

import (
	"testing"

	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// TestWhatIsMissingIsSkipped: a harness that lacks something is not one that passed.
func TestWhatIsMissingIsSkipped(t *testing.T) {
	m := memory.New()
	for _, tc := range []struct {
		rule    discoverytest.Rule
		harness discoverytest.Harness
	}{
		{discoverytest.RegisterAgain, discoverytest.Harness{Catalog: m}},
		{discoverytest.RoundTrip, discoverytest.Harness{Catalog: m, Registry: m, Lossy: true}},
		{discoverytest.MalformedEntry, discoverytest.Harness{Catalog: m, Registry: m}},
		{discoverytest.FaultRule(discoverytest.Outage), discoverytest.Harness{Catalog: m, Registry: m}},
	} {
		if discoverytest.Check(t, tc.rule, &tc.harness) {
			t.Errorf("%s was played", tc.rule)
		}
	}
}

// TestRunOptions: rules are left out as asked for.
func TestRunOptions(t *testing.T) {
	played := 0
	newHarness := func(discoverytest.TB) *discoverytest.Harness {
		played++
		m := memory.New()
		return &discoverytest.Harness{Catalog: m, Registry: m}
	}
	discoverytest.Run(t, newHarness, discoverytest.InBubble(),
		discoverytest.Only(discoverytest.FirstAnswer, discoverytest.NoNews), discoverytest.Without(discoverytest.NoNews, "to see that it is left out"))
	if played != 1 {
		t.Errorf("%d rules were played, want 1", played)
	}
}

// TestInRealTime plays rules that need little time without a bubble.
func TestInRealTime(t *testing.T) {
	discoverytest.Run(t, func(discoverytest.TB) *discoverytest.Harness {
		m := memory.New()
		return &discoverytest.Harness{Catalog: m, Registry: m}
	}, discoverytest.Only(discoverytest.FirstAnswer, discoverytest.FirstAnswerEmpty, discoverytest.SeesChanges, discoverytest.WatchContext,
		discoverytest.WatchClose, discoverytest.WatchLeaks, discoverytest.Namespaces, discoverytest.Concurrency))
}
