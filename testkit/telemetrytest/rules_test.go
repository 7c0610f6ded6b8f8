// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// breach is one way to break a rule.
type breach struct {
	name string
	rule telemetrytest.Rule
	play func(w *world)
	want []string // parts of the message
	opts []telemetrytest.Option
	also []telemetrytest.Rule // that the same fault must break, too
}

// allowance is something that looks like a breach and is none.
type allowance struct {
	name string
	play func(w *world)
	opts []telemetrytest.Option
}

func breaches() []breach {
	return slices.Concat(spanBreaches, logBreaches, exemplarBreaches, callBreaches, policyBreaches, metricBreaches)
}

func allowances() []allowance {
	return slices.Concat(spanAllowances, logAllowances, exemplarAllowances, callAllowances, policyAllowances, metricAllowances)
}

// TestBreaches plays a good request and one fault, and expects the rule to find
// that and no other rule to find anything.
func TestBreaches(t *testing.T) {
	for _, b := range breaches() {
		t.Run(string(b.rule)+"/"+b.name, func(t *testing.T) {
			w := newWorld(telemetrytest.WithMaxSpans(50), telemetrytest.WithMaxLines(50))
			w.request()
			b.play(w)
			problems := w.problems(t, b.opts...)
			if len(problems) == 0 {
				t.Fatal("nothing found")
			}
			found := false
			for _, p := range problems {
				if p.Rule != b.rule {
					if !slices.Contains(b.also, p.Rule) {
						t.Errorf("another rule found: %s", p)
					}
					continue
				}
				found = found || containsAll(p.Message, b.want)
			}
			if !found {
				t.Errorf("no message of %s with %q in:\n%v", b.rule, b.want, problems)
			}
			if rest := w.problems(t, append(slices.Clone(b.opts), telemetrytest.Without(append(b.also, b.rule)...))...); len(rest) > 0 {
				t.Errorf("with the rule off: %v", rest)
			}
		})
	}
}

func TestAllowances(t *testing.T) {
	for _, a := range allowances() {
		t.Run(a.name, func(t *testing.T) {
			w := newWorld()
			w.request()
			a.play(w)
			for _, p := range w.problems(t, a.opts...) {
				t.Errorf("found: %s", p)
			}
			if a.opts != nil && len(w.problems(t)) == 0 {
				t.Error("without the options there is no problem either: they are not tested")
			}
		})
	}
}

// TestEveryRuleCanFail keeps a rule from being added without a breach.
func TestEveryRuleCanFail(t *testing.T) {
	for _, info := range telemetrytest.Rules() {
		if !slices.ContainsFunc(breaches(), func(b breach) bool { return b.rule == info.Rule }) {
			t.Errorf("no test breaks rule %s", info.Rule)
		}
		if len(info.Doc) < 20 || !strings.Contains(info.Doc, ":") && !strings.Contains(info.Doc, ",") {
			t.Errorf("rule %s does not say what holds and why: %q", info.Rule, info.Doc)
		}
	}
}

func TestGoodRun(t *testing.T) {
	w := newWorld()
	for range 20 {
		w.request()
	}
	for _, p := range w.problems(t) {
		t.Errorf("found: %s", p)
	}
}

func containsAll(s string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
}
