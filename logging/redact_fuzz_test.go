// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzQuery redacts queries as a peer may send them. Whatever is not sensitive
// stays as it is, whatever is has no value any more, and once is enough.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&token=t&b=2", "api_key", "k")
	f.Add("to%6ben=t;sig=%zz&&=&password=a=b", "x", "")
	f.Add("token", "X-Amz-Signature", "a&b;c")
	f.Fuzz(func(t *testing.T, raw, key, value string) {
		r := newRedactor(t)
		once := r.Query(raw)
		if twice := r.Query(once); twice != once {
			t.Errorf("%q: %q is redacted again to %q", raw, once, twice)
		}
		if got, want := strings.Count(once, "&"), strings.Count(raw, "&"); got != want {
			t.Errorf("%q: got %q, another number of parameters", raw, once)
		}

		// What was there before and after a known parameter does not change what becomes of it.
		known := url.QueryEscape(key) + "=" + url.QueryEscape(value)
		around := r.Query("token=t&" + known + "&c=3&" + raw)
		want := known
		if r.Query(known) != known {
			want = url.QueryEscape(key) + "=REDACTED"
		}
		if want = "token=REDACTED&" + want + "&c=3&" + once; around != want {
			t.Errorf("got %q, want %q", around, want)
		}
		if r.Sensitive(key) && value != "" && strings.Contains(r.Query(known), "="+url.QueryEscape(value)) && value != "REDACTED" {
			t.Errorf("%q shows its value: %q", key, r.Query(known))
		}
		if u, err := url.Parse("https://user:" + url.QueryEscape(value) + "@example.com/?" + raw); err == nil {
			shown, err := url.Parse(r.URL(u))
			if err != nil {
				t.Fatalf("%q does not parse: %v", r.URL(u), err)
			}
			if shown.User.String() != "REDACTED:REDACTED" || shown.RawQuery != r.Query(u.RawQuery) {
				t.Errorf("%v is shown as %v", u, shown)
			}
		}
	})
}

// FuzzSensitive holds what is true of all keys: a sensitive key stays so in
// whatever it is put into, and the second answer is the first.
func FuzzSensitive(f *testing.F) {
	for _, k := range []string{"password", "X-Api-Key", "apiKey", "token_count", "密码", "a\xffb", "OTP2", strings.Repeat("aB", 100)} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		r := newRedactor(t)
		first := r.Sensitive(key)
		if r.Sensitive(key) != first {
			t.Errorf("%q: the second answer is another", key)
		}
		for _, in := range []string{"x." + key, "x-" + key, key + ".", key + "_data", "_" + key} {
			if first && !r.Sensitive(in) {
				t.Errorf("%q is sensitive, %q is not", key, in)
			}
		}
	})
}
