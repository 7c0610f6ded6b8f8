// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience/retry"
)

// noon is when the values of these tests are seen.
var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.FixedZone("CET", 3600))

func TestParseRetryAfter(t *testing.T) {
	const most = retry.MaxRetryAfter
	for _, tc := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{" 120\t", 2 * time.Minute, true},
		{"007", 7 * time.Second, true},
		{"-5", 0, true},
		{"86400", most, true},
		{"86401", most, true},
		{"99999999999999999999", most, true},
		{strings.Repeat("9", 64), most, true},
		{strings.Repeat("9", 65), 0, false},

		{"Sat, 21 Nov 2026 11:00:30 GMT", 30 * time.Second, true}, // IMF-fixdate
		{"Saturday, 21-Nov-26 11:00:30 GMT", 30 * time.Second, true},
		{"Sat Nov 21 11:00:30 2026", 30 * time.Second, true}, // asctime
		{"Sun Nov  1 11:00:30 2026", 0, true},
		{"Sat, 21 Nov 2026 10:59:59 GMT", 0, true},
		{"Tue, 01 Dec 2026 11:00:00 GMT", most, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", most, true},
		{"Mon, 01 Jan 0001 00:00:00 GMT", 0, true},
		// Two digits: no more than 50 years ahead.
		{"Saturday, 21-Nov-75 11:00:30 GMT", most, true},
		{"Saturday, 21-Nov-77 11:00:30 GMT", 0, true},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 0, true},

		{"", 0, false},
		{" ", 0, false},
		{"-", 0, false},
		{"+5", 0, false},
		{"1.5", 0, false},
		{"1e3", 0, false},
		{"5s", 0, false},
		{"soon", 0, false},
		{"Sat, 21 Nov 2026 11:00:30 CET", 0, false},
		{"Sat, 21 Nov 2026 11:00:30", 0, false},
		{"Sat, 31 Nov 2026 11:00:30 GMT", 0, false},
		{"2026-11-21T11:00:30Z", 0, false},
		{"٣", 0, false},
	} {
		got, ok := retry.ParseRetryAfter(tc.value, noon)
		if got != tc.want || ok != tc.ok {
			t.Errorf("ParseRetryAfter(%q) = %v, %v, want %v, %v", tc.value, got, ok, tc.want, tc.ok)
		}
	}
}

// Two digits are a year around now, not around when this was written.
func TestRetryAfterAroundTheTurnOfACentury(t *testing.T) {
	for _, tc := range []struct {
		now   string
		value string
		want  time.Duration
	}{
		{"2099-12-31T23:59:30Z", "Friday, 01-Jan-00 00:00:00 GMT", 30 * time.Second},
		{"2100-01-01T00:00:30Z", "Thursday, 31-Dec-99 23:59:59 GMT", 0},
		{"2071-06-01T00:00:00Z", "Monday, 01-Jun-71 00:00:10 GMT", 10 * time.Second},
	} {
		now, err := time.Parse(time.RFC3339, tc.now)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := retry.ParseRetryAfter(tc.value, now); !ok || got != tc.want {
			t.Errorf("at %s, %q is %v, %v, want %v", tc.now, tc.value, got, ok, tc.want)
		}
	}
}

func TestParsePushback(t *testing.T) {
	for _, tc := range []struct {
		ms        string
		want      time.Duration
		retry, ok bool
	}{
		{"0", 0, true, true},
		{"250", 250 * ms, true, true},
		{"99999999999", retry.MaxRetryAfter, true, true},
		{"-1", 0, false, true},
		{"-9223372036854775808", 0, false, true},
		{"", 0, false, false},
		{"9223372036854775808", 0, false, false},
		{"1.5", 0, false, false},
		{" 5", 0, false, false},
		{"no", 0, false, false},
	} {
		d, again, ok := retry.ParsePushback(tc.ms)
		if d != tc.want || again != tc.retry || ok != tc.ok {
			t.Errorf("ParsePushback(%q) = %v, %v, %v, want %v, %v, %v", tc.ms, d, again, ok, tc.want, tc.retry, tc.ok)
		}
	}
}

func TestPushback(t *testing.T) {
	for _, tc := range []struct {
		name  string
		p     retry.Pushback
		after time.Duration
		said  bool
		stop  bool
	}{
		{"nothing said", retry.Pushback{}, 0, false, false},
		{"after", retry.PushbackAfter(time.Second), time.Second, true, false},
		{"now", retry.PushbackAfter(0), 0, true, false},
		{"before now", retry.PushbackAfter(-time.Second), 0, true, false},
		{"stop", retry.PushbackStop(), 0, false, true},
	} {
		if after, said := tc.p.After(); after != tc.after || said != tc.said || tc.p.IsStop() != tc.stop {
			t.Errorf("%s: after %v, %v, stop %v", tc.name, after, said, tc.p.IsStop())
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, value := range []string{"120", "-1", "", "99999999999999999999", "Sat, 21 Nov 2026 11:00:30 GMT", "Saturday, 21-Nov-26 11:00:30 GMT", "Sat Nov 21 11:00:30 2026"} {
		f.Add(value, noon.Unix())
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		now := time.Unix(unix%253402300800, 0) // to the year 9999
		d, ok := retry.ParseRetryAfter(value, now)
		if d < 0 || d > retry.MaxRetryAfter || !ok && d != 0 {
			t.Fatalf("%q is %v, %v", value, d, ok)
		}
		// A date that net/http reads is the same to us, except that two digits of a
		// year are read by the clock.
		value = strings.Trim(value, " \t")
		if at, err := http.ParseTime(value); err == nil && len(value) <= 64 && !strings.Contains(value, "-") && ok {
			if want := min(max(at.Sub(now), 0), retry.MaxRetryAfter); d != want {
				t.Fatalf("%q is %v, want %v", value, d, want)
			}
		}
		if n, err := strconv.ParseUint(value, 10, 32); err == nil && len(value) <= 64 {
			if want := min(time.Duration(n)*time.Second, retry.MaxRetryAfter); !ok || d != want {
				t.Fatalf("%q is %v, %v, want %v", value, d, ok, want)
			}
		}
		// What it returns, written as seconds, is read as the same.
		if ok {
			whole := d.Truncate(time.Second)
			if again, ok := retry.ParseRetryAfter(strconv.Itoa(int(whole/time.Second)), now); !ok || again != whole {
				t.Fatalf("%v came back as %v, %v", whole, again, ok)
			}
		}
	})
}

func FuzzParsePushback(f *testing.F) {
	for _, ms := range []string{"0", "250", "-1", "", "x", "9223372036854775808"} {
		f.Add(ms)
	}
	f.Fuzz(func(t *testing.T, ms string) {
		d, again, ok := retry.ParsePushback(ms)
		if d < 0 || d > retry.MaxRetryAfter || !again && d != 0 || again && !ok {
			t.Fatalf("%q is %v, %v, %v", ms, d, again, ok)
		}
		n, err := strconv.ParseInt(ms, 10, 64)
		if ok != (err == nil) || again != (err == nil && n >= 0) {
			t.Fatalf("%q is %v, %v, %v", ms, d, again, ok)
		}
		if again {
			if back, _, _ := retry.ParsePushback(strconv.FormatInt(d.Milliseconds(), 10)); back != d {
				t.Fatalf("%v came back as %v", d, back)
			}
		}
	})
}
