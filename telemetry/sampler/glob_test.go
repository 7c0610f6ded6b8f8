// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/telemetry/sampler"
)

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"a*b*c", "aXXbYYc", true},
		{"a*b*c", "aXXbYY", false},
		{"*ab", "aab", true},
		{"a*a", "a", false},
		{"**", "x", true},
		{"a?c", "abc", false}, // only the star is special
	} {
		if got := sampler.Glob(tc.pattern, tc.s); got != tc.want {
			t.Errorf("glob(%q, %q) = %v, want %v", tc.pattern, tc.s, got, tc.want)
		}
	}
}

// FuzzGlob compares with the same pattern as a regular expression.
func FuzzGlob(f *testing.F) {
	f.Add("shop.*/Get*", "shop.v1.Order/GetOrder")
	f.Add("*a*b", "aaab")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 32 || len(s) > 64 {
			t.Skip("the regular expression takes too long")
		}
		re, err := regexp.Compile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`)
		if err != nil {
			t.Skip("not valid as a regular expression")
		}
		if strings.ToValidUTF8(s, "") != s {
			t.Skip("regexp matches runes, glob bytes")
		}
		if got, want := sampler.Glob(pattern, s), re.MatchString(s); got != want {
			t.Errorf("glob(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}
