// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that the parsers return: what is longer is cut
// to it. A policy's own limit is [WithMaxPushback].
const MaxRetryAfter = 24 * time.Hour

// maxRetryAfterBytes is longer than any date, and than any number of seconds that
// makes sense.
const maxRetryAfterBytes = 64

// The forms of an HTTP date (RFC 9110 §5.6.7).
const (
	imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"
	rfc850Date = "Monday, 02-Jan-06 15:04:05 GMT"
	asctime    = time.ANSIC
)

// ParseRetryAfter reads a Retry-After header (RFC 9110 §10.2.3), a number of seconds
// or a date in one of the three forms, seen at now. The wait is from 0, also for
// dates that are past and for negative numbers, to [MaxRetryAfter]. It returns false
// for anything else.
func ParseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.Trim(value, " \t")
	if value == "" || len(value) > maxRetryAfterBytes {
		return 0, false
	}
	if d, ok := parseSeconds(value); ok {
		return d, true
	}
	at, ok := parseHTTPDate(value, now)
	if !ok {
		return 0, false
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter), true
}

// parseSeconds reads digits, with a minus sign at most. A number too large for an
// integer is a long wait all the same.
func parseSeconds(s string) (time.Duration, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	if negative {
		return 0, true
	}
	const most = int64(MaxRetryAfter / time.Second)
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		seconds = most
	}
	return time.Duration(min(seconds, most)) * time.Second, true
}

func parseHTTPDate(s string, now time.Time) (time.Time, bool) {
	if at, err := time.Parse(imfFixdate, s); err == nil {
		return at, true
	}
	if at, err := time.Parse(asctime, s); err == nil {
		return at, true
	}
	at, err := time.Parse(rfc850Date, s)
	if err != nil {
		return time.Time{}, false
	}
	return inCentury(at, now), true
}

// inCentury puts a date whose year has two digits into the century around now: one
// that appears to be more than 50 years ahead is past (RFC 9110 §5.6.7).
func inCentury(at, now time.Time) time.Time {
	year := now.Year() - now.Year()%100 + at.Year()%100
	at = at.AddDate(year-at.Year(), 0, 0)
	switch {
	case at.After(now.AddDate(50, 0, 0)):
		return at.AddDate(-100, 0, 0)
	case at.Before(now.AddDate(-50, 0, 0)):
		return at.AddDate(100, 0, 0)
	default:
		return at
	}
}

// ParsePushback reads the value of grpc-retry-pushback-ms, a number of milliseconds
// to wait before another attempt. A negative number, or anything else that is there
// but no number, asks not to retry (gRFC A6). retry says which it is, and ok whether
// it was a number at all. The wait is at most [MaxRetryAfter].
func ParsePushback(ms string) (d time.Duration, retry, ok bool) {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return 0, false, false
	}
	if n < 0 {
		return 0, false, true
	}
	return time.Duration(min(n, MaxRetryAfter.Milliseconds())) * time.Millisecond, true, true
}
