// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/policyfile"
)

// Whatever is in a file, it is read in bounded time, and either it can be built, the
// same way each time, or each error says where it is.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		"", "{}", "[]", "null", "defaults: &a {methods: {/a/b: *a}}", "services: {a: , b: *x}", "---\n...\n---\n",
		`{"defaults": {"retry": {"max_attempts": 0}}, "server": {"shed": true}}`,
		"defaults: {retry: {backoff: {base: 1ns, max: 2562047h}}}", "server: {rate_limit: {limit: .inf, burst: 0x10}}",
		"services:\n  ? {a: b}\n  : {}\n", "defaults: {methods: {'GET /{a': , /a/b: }}", "max_services: !!binary AAAA", "a: !!float b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		opts, err := policyfile.Parse(data)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%d bytes took %v", len(data), took)
		}
		if err == nil {
			if _, err := policies.New(opts...); err != nil {
				t.Errorf("parsed, and then: %v", err)
			}
			return
		}
		if opts != nil {
			t.Error("options in spite of the error")
		}
		several, ok := err.(interface{ Unwrap() []error })
		if !ok {
			t.Fatalf("%T", err)
		}
		lines, last := strings.Count(string(data), "\n")+strings.Count(string(data), "\r")+2, 0
		for _, err := range several.Unwrap() {
			e, ok := errors.AsType[*policyfile.Error](err)
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			if e.Line < last || e.Line < 1 || e.Column < 1 || e.Rule == "" {
				t.Errorf("%+v after line %d", e, last)
			}
			if e.Line > lines && utf8.Valid(data) && !strings.ContainsAny(string(data), "\u0085\u2028\u2029") {
				t.Errorf("line %d of %d", e.Line, lines)
			}
			last = e.Line
		}
	})
}
