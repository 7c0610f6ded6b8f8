// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// What is accepted is what OpenTelemetry writes and reads: the fields of the
// input stand in the output, and nothing OpenTelemetry accepts is refused.
func FuzzParseTraceparent(f *testing.F) {
	for _, s := range []string{
		traceparent, "cc-" + traceID + "-" + spanID + "-01-more", "00-" + traceID + "-" + spanID + "-ff",
		"ff-" + traceID + "-" + spanID + "-01", "", "00--", traceparent + "\r\n", strings.ToUpper(traceparent),
	} {
		f.Add(s)
	}
	tc := propagation.TraceContext{}
	f.Fuzz(func(t *testing.T, s string) {
		sc, ok := ctxutil.ParseTraceparent(s)
		theirs := trace.SpanContextFromContext(tc.Extract(context.Background(), propagation.MapCarrier{"traceparent": s}))
		if !ok {
			if theirs.IsValid() {
				t.Fatalf("refused %q, which OpenTelemetry accepts", s)
			}
			return
		}
		if !sc.IsValid() || !sc.IsRemote() {
			t.Fatalf("accepted %q as %v", s, sc)
		}
		if theirs.IsValid() && !theirs.Equal(sc) {
			t.Fatalf("%q is %v, for OpenTelemetry %v", s, sc, theirs)
		}
		out := propagation.MapCarrier{}
		tc.Inject(trace.ContextWithRemoteSpanContext(context.Background(), sc), out)
		if got := out["traceparent"]; got[3:53] != s[3:53] {
			t.Fatalf("%q was written back as %q", s, got)
		}
		again, ok := ctxutil.ParseTraceparent(out["traceparent"])
		if !ok || !again.Equal(sc) {
			t.Fatalf("%q does not survive the round trip: %v", s, again)
		}
	})
}

// An accepted X-Trace-ID is the id it spells; a safe one has nothing in it that
// could break out of a log line or a header.
func FuzzTraceIDHeader(f *testing.F) {
	for _, s := range []string{
		traceID, strings.ToUpper(traceID), "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", strings.Repeat("0", 32),
		"order-4711", "a\r\nb", "\x1b[2J", "\xff", strings.Repeat("x", 200), "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := ctxutil.ParseTraceID(s); ok {
			if want := strings.ToLower(strings.ReplaceAll(s, "-", "")); id.String() != want || !id.IsValid() {
				t.Fatalf("ParseTraceID(%q) = %s", s, id)
			}
			if safe, ok := ctxutil.SafeID(s); !ok || safe != s {
				t.Fatalf("%q is a trace id and not safe", s)
			}
		}
		if id, ok := ctxutil.SafeID(s); ok {
			if id != s || len(id) < 1 || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\;%", r) }) {
				t.Fatalf("SafeID(%q) = %q", s, id)
			}
		}
	})
}

// Whatever the peer sends, what is kept is bounded and can be sent on.
func FuzzParseTracestate(f *testing.F) {
	for _, s := range []string{"congo=t61rcWkgMzE,rojo=1", "a=1,a=2", "", ",,,", strings.Repeat("a=1,", 300), "a=\x00"} {
		f.Add(s, "b=2")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ts := ctxutil.ParseTracestate(a, b)
		s := ts.String()
		if len(s) > ctxutil.MaxTracestateBytes || ts.Len() > 32 {
			t.Fatalf("kept %d bytes, %d members", len(s), ts.Len())
		}
		if got := ctxutil.ParseTracestate(s).String(); got != s {
			t.Fatalf("%q does not survive the round trip: %q", s, got)
		}
	})
}

func FuzzParseBaggage(f *testing.F) {
	for _, s := range []string{"tenant=acme", "a=1;p=2,b=%0d%0a", "a=\r\nx: y", "", "=", ",,,", strings.Repeat("k=v,", 3000), strings.Repeat("x", 9000)} {
		f.Add(s, "locale=de")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		bag, ok := ctxutil.ParseBaggage(a, b)
		if ok != (bag.Len() > 0) {
			t.Fatalf("ok = %v with %d members", ok, bag.Len())
		}
		if len(a)+1+len(b) > ctxutil.MaxBaggageBytes && ok {
			t.Fatalf("%d bytes accepted", len(a)+1+len(b))
		}
		s := bag.String()
		if len(s) > ctxutil.MaxBaggageBytes || bag.Len() > 64 {
			t.Fatalf("kept %d bytes, %d members", len(s), bag.Len())
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q would break a header", s)
		}
		again, _ := ctxutil.ParseBaggage(s)
		if diff := cmp.Diff(members(bag), members(again), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q does not survive the round trip (-before +after):\n%s", s, diff)
		}
	})
}

func members(b baggage.Baggage) map[string]string {
	m := map[string]string{}
	for _, member := range b.Members() {
		m[member.Key()] = member.Value()
	}
	return m
}

// What is accepted is at least zero and is what the digits say.
func FuzzTimeouts(f *testing.F) {
	for _, s := range []string{"0", "1500", "99999999", "100m", "99999999H", "1S", "-1S", "", "n", "١S"} {
		f.Add(s)
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := ctxutil.ParseTimeoutMillis(s); ok {
			if want := fmt.Sprintf("%0*d", len(s), d.Milliseconds()); want != s {
				t.Fatalf("ParseTimeoutMillis(%q) = %v", s, d)
			}
			again, ok := ctxutil.ParseTimeoutMillis(ctxutil.FormatTimeoutMillis(d))
			if !ok || again != d {
				t.Fatalf("%v does not survive the round trip: %v", d, again)
			}
		}
		if d, ok := ctxutil.ParseGRPCTimeout(s); ok {
			unit := units[s[len(s)-1]]
			if d < 0 || d != math.MaxInt64 && fmt.Sprintf("%0*d", len(s)-1, d/unit) != s[:len(s)-1] {
				t.Fatalf("ParseGRPCTimeout(%q) = %v", s, d)
			}
			if d == math.MaxInt64 && unit != time.Hour {
				t.Fatalf("ParseGRPCTimeout(%q) was cut", s)
			}
		}
	})
}

// What is formatted can be parsed, and is never more than what was left.
func FuzzFormatTimeout(f *testing.F) {
	for _, d := range []int64{0, 1, -1, 999_999, 1_000_000, math.MaxInt64, math.MinInt64} {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		d := time.Duration(n)
		got, ok := ctxutil.ParseTimeoutMillis(ctxutil.FormatTimeoutMillis(d))
		if !ok || got > max(d, time.Millisecond) || d > 0 && got == 0 || d <= 0 && got != 0 {
			t.Fatalf("%v was formatted as %q, %v", d, ctxutil.FormatTimeoutMillis(d), got)
		}
	})
}

// A host that is allowed is a plain name or address, and what allows it allows it
// in every spelling of the same host.
func FuzzEgressAllows(f *testing.F) {
	for _, s := range []string{
		"inventory:8080", "dns:///inventory", "consul:///inventory?ns=prod", "unix:///x.sock", "[::1]:80", "10.0.0.1", "example.com",
		"user@inventory", "[fe80::1%eth0]:80", "http://evil.example.com/inventory", "127.1", "a:b:c", "::", "[", "%", "\x00", "0x7f.1",
	} {
		f.Add(s)
	}
	internal := ctxutil.InternalHosts()
	all, err := ctxutil.NewEgress("*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string) {
		ok := internal.Allows(host)
		if ok && !all.Allows(host) {
			t.Fatalf("%q is internal, yet not covered by *", host)
		}
		if got := internal.Allows(strings.ToUpper(host)); ok && isASCII(host) && got != ok {
			t.Fatalf("%q: upper case changes the answer", host)
		}
		if strings.ContainsAny(host, "@ \r\n\t\x00\x1b") && !strings.ContainsAny(host, "?:/[") && all.Allows(host) {
			t.Fatalf("%q is allowed", host)
		}
		// For host and host:port, decide the same with the standard library.
		if addr, err := netip.ParseAddr(host); err == nil && !strings.ContainsAny(host, "%") {
			a := addr.Unmap()
			want := a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
			if len(host) <= 253 && ok != want {
				t.Fatalf("%q: %v, want %v", host, ok, want)
			}
			if port := netip.AddrPortFrom(addr, 80).String(); internal.Allows(port) != want {
				t.Fatalf("%q differs from %q", port, host)
			}
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}

// Bytes go gRPC → HTTP → gRPC unchanged, and on the HTTP hop are a valid header.
func FuzzBinaryRoundTrip(f *testing.F) {
	for _, s := range []string{"", "\x00", "plain", "a,b", "=", "AP8NCg==", "\r\n", "\xff\xfe\xfd"} {
		f.Add(s, "-Ctx")
	}
	f.Fuzz(func(t *testing.T, value, key string) {
		key = "x" + key + "-bin"
		if ctxutil.IsReserved(key) {
			t.Skip("never copied")
		}
		in := metadata.MD{}
		ctxutil.MetadataCarrier(in).SetAll(key, []string{value, "second"})
		h, out := http.Header{}, metadata.MD{}
		ctxutil.Copy(ctxutil.HTTPCarrier(h), ctxutil.MetadataCarrier(in), key)
		for _, vs := range h {
			for _, v := range vs {
				if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
					t.Fatalf("%q became the header value %q", value, v)
				}
			}
		}
		ctxutil.Copy(ctxutil.MetadataCarrier(out), ctxutil.HTTPCarrier(h), key)
		if diff := cmp.Diff(in, out); diff != "" {
			t.Fatalf("(-in +out):\n%s", diff)
		}
	})
}

// Reading hostile base64 never yields more bytes than were sent.
func FuzzBinaryRead(f *testing.F) {
	for _, s := range []string{"AP8NCg==", "AP8NCg", "***", ",,,", "=", "A", strings.Repeat("Yg,", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		for _, v := range ctxutil.HTTPCarrier(http.Header{"X-Ctx-Bin": {s}}).Values("x-ctx-bin") {
			n += len(v)
		}
		if n > len(s) {
			t.Fatalf("%d bytes out of %q", n, s)
		}
	})
}

// What is taken from a hostile request stays within its limits and is accepted,
// unchanged, by the next hop.
func FuzzForward(f *testing.F) {
	f.Add("acme", "de", "AP8NCg")
	f.Add("a\r\nb", "\xff", "***")
	f.Add(strings.Repeat("x", 5000), "", "=")
	list, err := ctxutil.NewForward([]string{"x-tenant", "x-locale", "x-ctx-bin"}, ctxutil.WithForwardLimits(4, 64))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tenant, locale, bin string) {
		in := http.Header{"X-Tenant": {tenant, tenant}, "X-Locale": {locale}, "X-Ctx-Bin": {bin}}
		got, dropped := list.Extract(ctxutil.HTTPCarrier(in))
		values, bytes := 0, 0
		for _, h := range got {
			values += len(h.Values)
			bytes += len(h.Key)
			for _, v := range h.Values {
				bytes += len(v)
				if !strings.HasSuffix(h.Key, "-bin") && strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Fatalf("%s: %q is forwarded", h.Key, v)
				}
			}
		}
		if values > 4 || bytes > 64 || len(got)+dropped != 3 {
			t.Fatalf("%d values, %d bytes, %d headers, %d dropped", values, bytes, len(got), dropped)
		}
		md := metadata.MD{}
		if n := list.Inject(got, ctxutil.MetadataCarrier(md)); n != 0 {
			t.Fatalf("the next hop drops %d of %q", n, got)
		}
		again, _ := list.Extract(ctxutil.MetadataCarrier(md))
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("(-taken +next hop):\n%s", diff)
		}
	})
}
