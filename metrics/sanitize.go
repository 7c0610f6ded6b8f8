// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sanitize returns v as it may become a label value: valid UTF-8 without control
// and formatting characters, each of which becomes U+FFFD. It returns v itself,
// without an allocation, if nothing needs to change.
func sanitize(v string) string {
	if clean(v) {
		return v
	}
	return strings.Map(func(r rune) rune {
		if !printable(r) {
			return utf8.RuneError
		}
		return r
	}, v) // an invalid byte reaches the mapping as U+FFFD already
}

// clean reports whether sanitize has nothing to do.
func clean(v string) bool {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c < ' ' || c == 0x7f || c >= utf8.RuneSelf {
			return cleanUnicode(v[i:])
		}
	}
	return true
}

func cleanUnicode(v string) bool {
	for i, r := range v {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(v[i:]); n == 1 {
				return false
			}
			continue
		}
		if !printable(r) {
			return false
		}
	}
	return true
}

// printable keeps what shows as itself. Bidirectional overrides, zero-width
// characters and the like make one value look like another.
func printable(r rune) bool {
	return r == utf8.RuneError || unicode.IsPrint(r)
}
