// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/metrics"
)

func newGuard(t testing.TB, n int) *metrics.Guard {
	t.Helper()
	g, err := metrics.NewGuard("label", n)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuardAdmitsUpToItsCap(t *testing.T) {
	g := newGuard(t, 2)
	for _, step := range []struct{ in, want, why string }{
		{"", "", "an absent label takes no room"},
		{metrics.Other, metrics.Other, "nor does the value for others"},
		{"a", "a", "the first"},
		{"b", "b", "the second fills it"},
		{"c", metrics.Other, "the third is one too many"},
		{"a", "a", "the first is still in"},
		{"c", metrics.Other, "the third is still out"},
		{"", "", "an absent label is always admitted"},
	} {
		if got := g.Value(step.in); got != step.want {
			t.Errorf("Value(%q) = %q, want %q: %s", step.in, got, step.want, step.why)
		}
	}
	if g.Len() != 2 || g.Refused() != 2 {
		t.Errorf("%d admitted and %d refused, want 2 and 2", g.Len(), g.Refused())
	}
	want := metrics.Offender{Label: "label", Refused: 2, Values: []string{"c"}}
	if diff := cmp.Diff(want, g.Offenders()); diff != "" {
		t.Errorf("offenders (-want +got):\n%s", diff)
	}
}

func TestGuardAllow(t *testing.T) {
	g := newGuard(t, 2)
	g.Allow("pay", "ship")
	if got := g.Value("flood"); got != metrics.Other {
		t.Errorf("a flood got in as %q", got)
	}
	if g.Value("pay") != "pay" || g.Value("ship") != "ship" {
		t.Error("what was allowed ahead is not admitted")
	}
}

func TestGuardSanitizes(t *testing.T) {
	long := strings.Repeat("x", metrics.MaxValueBytes)
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "shop.Order/Get", "shop.Order/Get"},
		{"route", "/orders/{id}", "/orders/{id}"},
		{"unicode", "/größe/日本", "/größe/日本"},
		{"replacement character itself", "a\uFFFDb", "a\uFFFDb"},
		{"invalid UTF-8", "a\xffb\xfe", "a\uFFFDb\uFFFD"},
		{"line break", "a\r\nb", "a\uFFFD\uFFFDb"},
		{"terminal escape", "\x1b[31mred", "\uFFFD[31mred"},
		{"delete", "a\x7f", "a\uFFFD"},
		{"zero width and right-to-left override", "a\u200b\u202eb", "a\uFFFD\uFFFDb"},
		{"longest", long, long},
		{"too long", long + "x", metrics.Other},
		{"too long once made valid", strings.Repeat("\xff", metrics.MaxValueBytes), metrics.Other},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := newGuard(t, 10).Value(tc.in); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestGuardDoesNotAliasWhatItReplaced: two raw values that become one take one place.
func TestGuardDoesNotAliasWhatItReplaced(t *testing.T) {
	g := newGuard(t, 5)
	g.Value("a\xff")
	g.Value("a\xfe")
	g.Value("a\uFFFD")
	if g.Len() != 1 {
		t.Errorf("%d values admitted, want 1", g.Len())
	}
}

func TestGuardOffendersAreBounded(t *testing.T) {
	g := newGuard(t, 1)
	g.Value("in")
	for i := range 10_000 {
		g.Value(fmt.Sprintf("evil-%05d\x1b%s", i, strings.Repeat("z", 1000)))
	}
	o := g.Offenders()
	if o.Refused != 10_000 || len(o.Values) != 8 {
		t.Fatalf("%d refused and %d remembered, want 10000 and 8", o.Refused, len(o.Values))
	}
	for _, v := range o.Values {
		if len(v) > 64 || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) || !strings.HasPrefix(v, "evil-") {
			t.Errorf("offender %q", v)
		}
	}
	if last := o.Values[7]; last < "evil-09900" {
		t.Errorf("the newest offender remembered is %q: the sample is stale", last)
	}
}

func TestNewGuardErrors(t *testing.T) {
	for _, tc := range []struct {
		label string
		n     int
		want  string
	}{
		{"", 1, "label is empty"},
		{"tenant", 0, `maxValues of "tenant" is 0: must be at least 1`},
		{"ten\xffant", 1, "is not valid UTF-8"},
	} {
		if _, err := metrics.NewGuard(tc.label, tc.n); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewGuard(%q, %d): %v, want %q in it", tc.label, tc.n, err, tc.want)
		}
	}
}

func TestSetGuard(t *testing.T) {
	set, reg := newSet(t)
	g, err := set.Guard("tenant", 1)
	if err != nil {
		t.Fatal(err)
	}
	g.Value("acme")
	g.Value("evil")
	got := lines(scrape(t, reg, "text/plain"), `fairlead_metrics_label_overflow_total{label="tenant"}`, `fairlead_metrics_label_values{label="tenant"}`)
	want := []string{`fairlead_metrics_label_overflow_total{label="tenant"} 1`, `fairlead_metrics_label_values{label="tenant"} 1`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]metrics.Offender{{Label: "tenant", Refused: 1, Values: []string{"evil"}}}, set.Offenders()); diff != "" {
		t.Errorf("offenders (-want +got):\n%s", diff)
	}
	for _, label := range []string{"tenant", metrics.LabelMethod} {
		if _, err := set.Guard(label, 1); err == nil {
			t.Errorf("a second guard for %q", label)
		}
	}
}

// FuzzGuardValue: whatever it is shown, a guard returns valid, printable, bounded
// text; the same value gets the same answer; and the cap holds.
func FuzzGuardValue(f *testing.F) {
	for _, seed := range []string{"", "a", "_OTHER", "a\xffb", "\x1b[0m", "\u202e", "日本", strings.Repeat("x", 201), "a\x00b"} {
		f.Add(seed, "other")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		g := newGuard(t, 1)
		for _, v := range []string{a, b, a, b} {
			got := g.Value(v)
			if got != g.Value(v) {
				t.Errorf("Value(%q) is not stable", v)
			}
			if !utf8.ValidString(got) || len(got) > metrics.MaxValueBytes {
				t.Errorf("Value(%q) = %q", v, got)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) && r != utf8.RuneError {
					t.Errorf("Value(%q) = %q has %U", v, got, r)
				}
			}
			if got == metrics.Other && v != metrics.Other && g.Refused() == 0 {
				t.Errorf("Value(%q) was refused and not counted", v)
			}
		}
		if g.Len() > 1 {
			t.Errorf("%d values admitted over a cap of 1", g.Len())
		}
		for _, o := range g.Offenders().Values {
			if len(o) > 64 || !utf8.ValidString(o) {
				t.Errorf("offender %q", o)
			}
		}
	})
}
