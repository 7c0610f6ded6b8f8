// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery/httpresolver"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, "-1": 0, "1.5": 0, "1e3": 0, " 5": 0, "99999999999999999999": 0,
		"2147483647": httpresolver.MaxRetryAfter, "7200": httpresolver.MaxRetryAfter,
		"Sat, 21 Nov 2026 12:00:45 GMT": 45 * time.Second,
		"Sat, 21 Nov 2026 11:00:00 GMT": 0,
		"Sat, 21 Nov 2099 12:00:00 GMT": httpresolver.MaxRetryAfter,
	} {
		if got := httpresolver.RetryAfter(http.Header{"Retry-After": {value}}, noon); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if got := httpresolver.RetryAfter(nil, noon); got != 0 {
		t.Errorf("without a header: %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "30", "-1", "+5", "Sat, 21 Nov 2026 12:00:45 GMT", "99999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := httpresolver.RetryAfter(http.Header{"Retry-After": {value}}, noon)
		if got < 0 || got > httpresolver.MaxRetryAfter {
			t.Fatalf("%q: %v", value, got)
		}
		if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds <= 3600 && value[0] != '+' && value[0] != '-' && got != time.Duration(seconds)*time.Second {
			t.Fatalf("%q: %v", value, got)
		}
	})
}
