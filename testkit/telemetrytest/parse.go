// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field is one member of a JSON object: its key, and its value as it is written.
type field struct{ key, value string }

// parseObject returns the members of the JSON object that text is, in the order
// they are written, doubled keys included: encoding/json would keep the last
// one and not say so. The values share text's memory.
func parseObject(text string) ([]field, error) {
	trimmed := strings.Trim(text, " \t\r\n")
	if trimmed == "" {
		return nil, errors.New("it is empty")
	}
	if !json.Valid([]byte(trimmed)) {
		var v any
		return nil, fmt.Errorf("it is not JSON: %w", json.Unmarshal([]byte(trimmed), &v))
	}
	if trimmed[0] != '{' {
		return nil, errors.New("it is JSON, but not an object")
	}
	return members(trimmed), nil
}

// members cuts a valid JSON object into its members.
func members(object string) []field {
	fields := make([]field, 0, 16)
	rest := skipSpace(object[1:])
	for rest[0] != '}' {
		end := valueEnd(rest)
		key := unquote(rest[:end])
		rest = skipSpace(skipSpace(rest[end:])[1:]) // past the colon
		end = valueEnd(rest)
		fields = append(fields, field{key, rest[:end]})
		rest = skipSpace(rest[end:])
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return fields
}

// elements cuts a valid JSON array into its elements.
func elements(array string) []string {
	var values []string
	rest := skipSpace(array[1:])
	for rest[0] != ']' {
		end := valueEnd(rest)
		values = append(values, rest[:end])
		rest = skipSpace(rest[end:])
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return values
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t\r\n") }

// valueEnd returns where the value that s starts with ends.
func valueEnd(s string) int {
	depth, inString := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
			if !inString && depth == 0 {
				return i + 1
			}
		case inString:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && strings.IndexByte(", :\t\r\n", c) >= 0:
			return i
		}
	}
	return len(s)
}

// unquote returns the text of a JSON string; other values are returned as they
// are written.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	if strings.IndexByte(value, '\\') < 0 && utf8.ValidString(value) {
		return value[1 : len(value)-1]
	}
	var s string
	if err := json.Unmarshal([]byte(value), &s); err != nil {
		return value
	}
	return s
}

// doubledKeys returns the paths of the keys that stand twice in one object,
// anywhere in fields.
func doubledKeys(prefix string, fields []field) []string {
	var doubled []string
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.key] {
			doubled = append(doubled, prefix+f.key)
		}
		seen[f.key] = true
		doubled = append(doubled, doubledInside(prefix+f.key, f.value)...)
	}
	return doubled
}

func doubledInside(path, value string) []string {
	switch value[0] {
	case '{':
		return doubledKeys(path+".", members(value))
	case '[':
		var doubled []string
		for i, element := range elements(value) {
			doubled = append(doubled, doubledInside(path+"["+strconv.Itoa(i)+"]", element)...)
		}
		return doubled
	default:
		return nil
	}
}

// control returns a description of the first character in a line of valid JSON
// that may take the reader's terminal over or end the line early: a control
// character as such, invalid UTF-8, or one escaped that a reader who decodes the
// value would print. Line feeds and tabs may be escaped: stacks have them.
func control(text string) string {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return fmt.Sprintf("the byte 0x%02x at %d, which is not UTF-8", text[i], i)
			}
		}
		if unicode.IsControl(r) {
			return fmt.Sprintf("the control character %U at %d", r, i)
		}
	}
	for i := strings.IndexByte(text, '\\'); i >= 0 && i+1 < len(text); {
		if r, escaped := escapedRune(text[i+1:]); escaped && unicode.IsControl(r) && r != '\n' && r != '\t' {
			return fmt.Sprintf("the escaped control character %U at %d", r, i)
		}
		next := strings.IndexByte(text[i+2:], '\\')
		if next < 0 {
			break
		}
		i += 2 + next
	}
	return ""
}

// escapedRune returns the character that a JSON escape, without its backslash,
// stands for.
func escapedRune(escape string) (rune, bool) {
	switch escape[0] {
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'r':
		return '\r', true
	case 'u':
		if len(escape) < 5 {
			return 0, false
		}
		n, err := strconv.ParseUint(escape[1:5], 16, 16)
		return rune(n), err == nil
	default:
		return 0, false
	}
}
