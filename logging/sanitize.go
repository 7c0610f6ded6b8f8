// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"strconv"
	"unicode/utf8"
)

// maxKeyBytes is how long a key may be.
const maxKeyBytes = 256

// escape returns s in a form that stays on one line and shows what it is:
// control characters, invalid UTF-8 and what unsafeRune names become their Go
// escapes. A result over limit bytes is cut and says how much of s is missing.
// It reports whether s was changed; a clean s is returned itself.
//
// Backslashes are left alone. So a written-out `\n` cannot be told from an
// escaped line feed, but a Windows path stays readable and nothing is escaped
// twice when records pass two handlers.
func escape(s string, limit int) (string, bool) {
	// A rune that is split here is taken for invalid bytes, whose escapes do not
	// fit any more.
	head := s[:min(len(s), limit)]
	i := firstUnsafe(head)
	if i < 0 {
		if len(head) == len(s) {
			return s, false
		}
		return head + missing(len(s)-len(head)), true
	}
	buf := make([]byte, 0, min(len(head)+16, limit+32))
	buf = append(buf, head[:i]...)
	for i < len(head) {
		before := len(buf)
		r, size := utf8.DecodeRuneInString(head[i:])
		buf = appendVisible(buf, head[i:i+size], r)
		if len(buf) > limit {
			buf = buf[:before]
			break
		}
		i += size
	}
	if i < len(s) {
		buf = append(buf, missing(len(s)-i)...)
	}
	return string(buf), true
}

// appendVisible appends the one rune of text, escaped if need be.
func appendVisible(buf []byte, text string, r rune) []byte {
	const digits = "0123456789abcdef"
	switch {
	case r == '\n':
		return append(buf, `\n`...)
	case r == '\r':
		return append(buf, `\r`...)
	case r == '\t':
		return append(buf, `\t`...)
	case r == utf8.RuneError && len(text) == 1, r < 0x20, r == 0x7f:
		return append(buf, '\\', 'x', digits[text[0]>>4], digits[text[0]&0xf])
	case unsafeRune(r):
		return append(buf, '\\', 'u', digits[r>>12&0xf], digits[r>>8&0xf], digits[r>>4&0xf], digits[r&0xf])
	default:
		return append(buf, text...)
	}
}

// firstUnsafe returns the index of the first byte to escape, or -1.
func firstUnsafe(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			return i
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || unsafeRune(r) {
			return i
		}
		i += size
	}
	return -1
}

// unsafeRune reports whether r, which is not ASCII, controls the terminal or
// the line it is printed on: the C1 controls, the line and paragraph
// separators, and the bidirectional marks, embeddings, overrides and isolates
// (Unicode TR9, CVE-2021-42574). All of them are in the basic plane.
func unsafeRune(r rune) bool {
	switch {
	case r < 0xa0:
		return r >= 0x80
	case r < 0x2000:
		return r == 0x61c
	default:
		return r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
}

func missing(n int) string { return "...[" + strconv.Itoa(n) + " more bytes]" }

// errorText returns err.Error(), or false if that panics, as it does for many
// a nil pointer in an error: such a value is the inner handler's to report.
func errorText(err error) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	return err.Error(), true
}
