// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"net/textproto"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID      = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

func TestParseTraceparent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		ok       bool
		flags    trace.TraceFlags
	}{
		{"sampled", traceparent, true, trace.FlagsSampled},
		{"not sampled", "00-" + traceID + "-" + spanID + "-00", true, 0},
		{"random", "00-" + traceID + "-" + spanID + "-03", true, trace.FlagsSampled | trace.FlagsRandom},
		{"unknown flags are masked", "00-" + traceID + "-" + spanID + "-ff", true, trace.FlagsSampled | trace.FlagsRandom},
		{"later version", "cc-" + traceID + "-" + spanID + "-01", true, trace.FlagsSampled},
		{"later version, more parts", "01-" + traceID + "-" + spanID + "-01-what-the-future-holds", true, trace.FlagsSampled},
		{"later version, empty part", "01-" + traceID + "-" + spanID + "-01-", true, trace.FlagsSampled},
		{"later version, no dash", "01-" + traceID + "-" + spanID + "-01x", false, 0},
		{"later version, flags too long", "01-" + traceID + "-" + spanID + "-011-", false, 0},
		{"version 00, more parts", traceparent + "-x", false, 0},
		{"version 00, trailing space", traceparent + " ", false, 0},
		{"leading space", " " + traceparent, false, 0},
		{"version ff", "ff-" + traceID + "-" + spanID + "-01", false, 0},
		{"version not hex", "0x-" + traceID + "-" + spanID + "-01", false, 0},
		{"empty", "", false, 0},
		{"one short", traceparent[:54], false, 0},
		{"zero trace id", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false, 0},
		{"zero span id", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", false, 0},
		{"upper case trace id", "00-" + strings.ToUpper(traceID) + "-" + spanID + "-01", false, 0},
		{"upper case span id", "00-" + traceID + "-00F067AA0BA902B7-01", false, 0},
		{"upper case flags", "00-" + traceID + "-" + spanID + "-0A", false, 0},
		{"not hex", "00-" + traceID[:31] + "g-" + spanID + "-01", false, 0},
		{"underscore for first dash", "00_" + traceID + "-" + spanID + "-01", false, 0},
		{"underscore for second dash", "00-" + traceID + "_" + spanID + "-01", false, 0},
		{"underscore for third dash", "00-" + traceID + "-" + spanID + "_01", false, 0},
		{"one megabyte", strings.Repeat("0", 1<<20), false, 0},
		{"line break", "00-" + traceID + "-" + spanID + "-01\r\n", false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sc, ok := ctxutil.ParseTraceparent(tc.in)
			if ok != tc.ok {
				t.Fatalf("ParseTraceparent(%.80q) ok = %v, want %v", tc.in, ok, tc.ok)
			}
			if !ok {
				if !sc.Equal(trace.SpanContext{}) && sc.IsValid() {
					t.Errorf("refused, yet the span context is valid: %v", sc)
				}
				return
			}
			if got := sc.TraceID().String(); got != traceID {
				t.Errorf("trace id = %s, want %s", got, traceID)
			}
			if got := sc.SpanID().String(); got != spanID {
				t.Errorf("span id = %s, want %s", got, spanID)
			}
			if sc.TraceFlags() != tc.flags {
				t.Errorf("flags = %v, want %v", sc.TraceFlags(), tc.flags)
			}
			if !sc.IsRemote() {
				t.Error("not marked remote")
			}
		})
	}
}

func TestParseTraceID(t *testing.T) {
	t.Parallel()
	const uuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
	for _, tc := range []struct {
		name, in string
		ok       bool
	}{
		{"hex", traceID, true},
		{"hex, upper case", strings.ToUpper(traceID), true},
		{"UUID", uuid, true},
		{"UUID, upper case", strings.ToUpper(uuid), true},
		{"zero", strings.Repeat("0", 32), false},
		{"zero UUID", "00000000-0000-0000-0000-000000000000", false},
		{"31 digits", traceID[:31], false},
		{"33 digits", traceID + "0", false},
		{"not hex", traceID[:31] + "x", false},
		{"UUID with braces", "{" + uuid + "}", false},
		{"UUID as URN", "urn:uuid:" + uuid, false},
		{"dashes elsewhere", "4bf92f357-7b3-4da6-a3ce-929d0e0e4736", false},
		{"dash for the last digit", uuid[:35] + "-", false},
		{"empty", "", false},
		{"36 bytes without dashes", traceID + "0000", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			id, ok := ctxutil.ParseTraceID(tc.in)
			if ok != tc.ok {
				t.Fatalf("ParseTraceID(%q) ok = %v, want %v", tc.in, ok, tc.ok)
			}
			if ok && id.String() != traceID {
				t.Errorf("ParseTraceID(%q) = %s, want %s", tc.in, id, traceID)
			}
			if !ok && id.IsValid() {
				t.Errorf("refused, yet the id is valid: %s", id)
			}
		})
	}
}

func TestParseTraceIDWantsEveryDash(t *testing.T) {
	t.Parallel()
	const uuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
	for i := range len(uuid) {
		if uuid[i] != '-' {
			continue
		}
		if s := uuid[:i] + "0" + uuid[i+1:]; acceptsTraceID(s) {
			t.Errorf("ParseTraceID(%q) accepts a digit for the dash at %d", s, i)
		}
	}
}

func acceptsTraceID(s string) bool {
	_, ok := ctxutil.ParseTraceID(s)
	return ok
}

func TestSafeID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"order-4711":                           true,
		"Root=1-67891233-abcdef012345678912/@": true,
		"a,b~c+d:e_f.g":                        true,
		strings.Repeat("a", 128):               true,
		strings.Repeat("a", 129):               false,
		strings.Repeat("a", 1<<20):             false,
		"":                                     false,
		"two words":                            false,
		"line\nbreak":                          false,
		"line\r\nX-Evil: 1":                    false,
		"\x1b[31mred":                          false,
		"tab\there":                            false,
		"nul\x00":                              false,
		"zürich":                               false,
		"\xff\xfe":                             false,
		`quo"te`:                               false,
		"<script>":                             false,
		"a;b":                                  false,
		"100%":                                 false,
	} {
		got, ok := ctxutil.SafeID(in)
		if ok != want {
			t.Errorf("SafeID(%.40q) ok = %v, want %v", in, ok, want)
		}
		if ok && got != in || !ok && got != "" {
			t.Errorf("SafeID(%.40q) = %.40q", in, got)
		}
	}
}

func TestParseTracestate(t *testing.T) {
	t.Parallel()
	a252, b252 := "a="+strings.Repeat("x", 250), "b="+strings.Repeat("x", 250)
	for _, tc := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"one", []string{"congo=t61rcWkgMzE"}, "congo=t61rcWkgMzE"},
		{"two headers are one list", []string{"rojo=1", "congo=2"}, "rojo=1,congo=2"},
		{"512 bytes", []string{a252, b252, "c=1234"}, a252 + "," + b252 + ",c=1234"},
		{"513 bytes", []string{a252, b252, "c=12345"}, ""},
		{"duplicate", []string{"a=1,a=2"}, ""},
		{"invalid", []string{"a=1,=2"}, ""},
		{"line break", []string{"a=1\r\nX-Evil: 1"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := ctxutil.ParseTracestate(tc.values...).String(); got != tc.want {
				t.Errorf("ParseTracestate(%q) = %q, want %q", tc.values, got, tc.want)
			}
		})
	}
}

func TestParseBaggage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []string
		want   map[string]string
	}{
		{"none", nil, nil},
		{"empty", []string{""}, nil},
		{"one", []string{"tenant=acme"}, map[string]string{"tenant": "acme"}},
		{"two headers are one list", []string{"tenant=acme", "locale=de"}, map[string]string{"tenant": "acme", "locale": "de"}},
		{"a bad member does not cost the good one", []string{"tenant=acme,\x00=1"}, map[string]string{"tenant": "acme"}},
		{"nothing valid", []string{"\x1b[31m"}, nil},
		{"past the bound", []string{"a=" + strings.Repeat("x", 8191)}, nil},
		{"past the bound together", []string{"a=" + strings.Repeat("x", 5000), "b=" + strings.Repeat("x", 5000)}, nil},
		{"one megabyte", []string{"a=" + strings.Repeat("x", 1<<20)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, ok := ctxutil.ParseBaggage(tc.values...)
			if ok != (len(tc.want) > 0) {
				t.Errorf("ok = %v with %d members wanted", ok, len(tc.want))
			}
			if b.Len() != len(tc.want) {
				t.Errorf("%d members, want %d: %.200s", b.Len(), len(tc.want), b)
			}
			for k, v := range tc.want {
				if got := b.Member(k).Value(); got != v {
					t.Errorf("member %q = %q, want %q", k, got, v)
				}
			}
		})
	}
}

// The constants index maps directly, so a spelling that a transport would change
// makes a header invisible.
func TestNamesAreSpelledAsStored(t *testing.T) {
	t.Parallel()
	for header, key := range map[string]string{
		ctxutil.HeaderTraceparent:    ctxutil.KeyTraceparent,
		ctxutil.HeaderTracestate:     ctxutil.KeyTracestate,
		ctxutil.HeaderBaggage:        ctxutil.KeyBaggage,
		ctxutil.HeaderTraceID:        ctxutil.KeyTraceID,
		ctxutil.HeaderRequestID:      ctxutil.KeyRequestID,
		ctxutil.HeaderRequestTimeout: ctxutil.KeyRequestTimeout,
	} {
		if got := textproto.CanonicalMIMEHeaderKey(header); got != header {
			t.Errorf("net/http stores %q as %q", header, got)
		}
		if got := strings.ToLower(header); got != key {
			t.Errorf("gRPC stores %q as %q, not %q", header, got, key)
		}
	}
}

func TestParsingCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	uuid, bad := "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", strings.Repeat("x", 55)
	n := testing.AllocsPerRun(100, func() {
		ctxutil.ParseTraceparent(traceparent)
		ctxutil.ParseTraceparent(bad)
		ctxutil.ParseTraceID(traceID)
		ctxutil.ParseTraceID(uuid)
		ctxutil.SafeID(uuid)
		ctxutil.ParseTimeoutMillis("1500")
		ctxutil.ParseGRPCTimeout("1500m")
		ctxutil.ParseGRPCTimeout("later")
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
