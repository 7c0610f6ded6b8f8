// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestParseObject(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []field
	}{
		{`{}`, []field{}},
		{` { "a" : 1 , "b":"x" } `, []field{{"a", `1`}, {"b", `"x"`}}},
		{`{"a\"b":"\\","c":"}\""}`, []field{{`a"b`, `"\\"`}, {"c", `"}\""`}}},
		{`{"a":{"b":[1,{"c":"]"}]},"d":[],"e":null}`, []field{{"a", `{"b":[1,{"c":"]"}]}`}, {"d", `[]`}, {"e", `null`}}},
		{`{"a":1,"a":2}`, []field{{"a", `1`}, {"a", `2`}}},
	} {
		got, err := parseObject(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(field{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.text, diff)
		}
	}
}

// FuzzParseObject holds the parser against encoding/json: it takes exactly the
// objects, and finds in them the members, and the doubled keys, that the
// decoder's tokens show.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{
		`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"x","n":1.5e3,"g":{"a":[true,null,{"b":"\u001b"}]}}`,
		`{"a":1,"a":2}`, `{"a":{"b":1,"b":2},"\u0061":0}`, ` [] `, `{}`, `{`, ``, "{\"a\":\"\xff\"}", `{"":[[],{}]}`, `{"a":"\\"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := parseObject(text)
		var want map[string]json.RawMessage
		if jsonErr := json.Unmarshal([]byte(text), &want); (jsonErr == nil && want != nil) != (err == nil) {
			t.Fatalf("encoding/json says %v, the parser %v", jsonErr, err)
		}
		if err != nil {
			return
		}
		got := map[string]json.RawMessage{}
		for _, f := range fields {
			got[f.key] = json.RawMessage(f.value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("members (-want +got):\n%s", diff)
		}
		if want, got := hasDoubled(t, text), doubledKeys("", fields) != nil; want != got {
			t.Fatalf("doubled keys: tokens say %t, the parser %t", want, got)
		}
		for _, r := range control(text) + excerpt(text) {
			if unicode.Is(unicode.Cc, r) && r < 0x80 {
				t.Fatalf("a message has the control character %U", r)
			}
		}
	})
}

// hasDoubled finds doubled keys by walking the decoder's tokens.
func hasDoubled(t *testing.T, text string) bool {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	var walk func() bool
	walk = func() bool {
		token, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		doubled := false
		switch token {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				key, _ := dec.Token()
				doubled = seen[key.(string)] || doubled
				seen[key.(string)] = true
				doubled = walk() || doubled
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for dec.More() {
				doubled = walk() || doubled
			}
			_, _ = dec.Token()
		}
		return doubled
	}
	return walk()
}
