// SPDX-License-Identifier: Apache-2.0

package discoveryfile_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/discovery/discoveryfile"
)

// Whatever is in a file: it is read, with each value at a place in it, or each error
// says where it is; and a file of JSON has the values that JSON says it has.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		text, asJSON, "", "{}", "[]", "null", "a: {b: c}", "a: &a {b: *a}", "---\n...\n---\n", "a: [1, two, 'three']", "? {a: b}\n: {}\n",
		`{"a": {"b": "\ud83d\ude00\/", "c": [true, 1e9, ""]}}`, "a: !!binary AAAA", "\ufeffa: {b: c}", "a: {b: |\n  c\n}", `{"a":{"b":{}}}`, "a: \"\\x41\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := discoveryfile.Parse("f", data)
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
			strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 2
		if err != nil {
			several, ok := err.(interface{ Unwrap() []error })
			if !ok || file != nil {
				t.Fatalf("%T, %v", err, file)
			}
			last := 0
			for _, err := range several.Unwrap() {
				e, ok := errors.AsType[*discoveryfile.Error](err)
				if !ok || e.Line < max(last, 1) || e.Column < 1 || e.Rule == "" {
					t.Errorf("%#v after line %d", err, last)
				}
				last = e.Line
			}
			return
		}
		var same map[string]any
		isJSON := json.Unmarshal(data, &same) == nil && json.Valid(data)
		for _, name := range file.Sections() {
			for key, v := range file.Section(name) {
				if v.Line < 1 || v.Column < 1 || v.Line > lines {
					t.Errorf("%s.%s is at %d:%d of %d lines", name, key, v.Line, v.Column, lines)
				}
				where, _ := same[name].(map[string]any)
				if name == "" {
					where = same
				}
				if want, ok := where[key].(string); isJSON && ok && want != v.Value {
					t.Errorf("%s.%s is %q, and JSON says %q", name, key, v.Value, want)
				}
			}
		}
		if err := file.Err(); err != nil {
			t.Errorf("after all was asked for: %v", err)
		}
	})
}
