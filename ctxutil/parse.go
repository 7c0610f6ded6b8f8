// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// Names of the headers that carry identity and deadline, spelled as net/http
// stores them, so that they index an http.Header directly and cost nothing to
// fold. Names are case-insensitive on the wire.
const (
	// HeaderTraceparent is the W3C Trace Context header that decides the identity.
	HeaderTraceparent = "Traceparent"
	// HeaderTracestate is the W3C Trace Context header for vendors' data.
	HeaderTracestate = "Tracestate"
	// HeaderBaggage is the W3C Baggage header.
	HeaderBaggage = "Baggage"
	// HeaderTraceID is X-Trace-ID: the trace id, for callers without
	// traceparent, and in every answer.
	HeaderTraceID = "X-Trace-Id"
	// HeaderRequestID is X-Request-ID: the caller's own id for the request,
	// kept as correlation id and answered.
	HeaderRequestID = "X-Request-Id"
	// HeaderRequestTimeout is X-Request-Timeout-Ms: what is left of the
	// deadline, in decimal milliseconds; HTTP's counterpart of grpc-timeout.
	HeaderRequestTimeout = "X-Request-Timeout-Ms"
)

// The same names as gRPC stores them: keys of a metadata.MD are lower case.
const (
	KeyTraceparent    = "traceparent"
	KeyTracestate     = "tracestate"
	KeyBaggage        = "baggage"
	KeyTraceID        = "x-trace-id"
	KeyRequestID      = "x-request-id"
	KeyRequestTimeout = "x-request-timeout-ms"
)

const (
	// MaxIDBytes is the length past which [SafeID] refuses an id.
	MaxIDBytes = 128
	// MaxTracestateBytes is the length past which a tracestate is ignored: what
	// W3C Trace Context (§3.3.1.5) asks every participant to carry at least.
	MaxTracestateBytes = 512
	// MaxBaggageBytes is the length past which baggage is ignored: the limit of
	// W3C Baggage (§3.3.2).
	MaxBaggageBytes = 8192
)

// traceparentBytes is the length of a version-00 traceparent.
const traceparentBytes = 55

// ParseTraceparent reads a W3C traceparent header. It is as strict as the
// standard: lower-case hex only, no zero ids, version 00 exactly 55 bytes long.
// Of a later version it reads the part it knows; version ff does not exist. Of
// the flags only sampled and random are kept. The result is marked remote.
//
// It costs no allocation, whatever the peer sent.
//
// See https://www.w3.org/TR/trace-context-2/#traceparent-header.
func ParseTraceparent(s string) (trace.SpanContext, bool) {
	if len(s) < traceparentBytes || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return trace.SpanContext{}, false
	}
	var version, flags [1]byte
	cfg := trace.SpanContextConfig{Remote: true}
	if !decodeLowerHex(version[:], s[0:2]) ||
		!decodeLowerHex(cfg.TraceID[:], s[3:35]) ||
		!decodeLowerHex(cfg.SpanID[:], s[36:52]) ||
		!decodeLowerHex(flags[:], s[53:55]) {
		return trace.SpanContext{}, false
	}
	switch version[0] {
	case 0x00:
		if len(s) != traceparentBytes {
			return trace.SpanContext{}, false
		}
	case 0xff:
		return trace.SpanContext{}, false
	default:
		if len(s) > traceparentBytes && s[traceparentBytes] != '-' {
			return trace.SpanContext{}, false
		}
	}
	cfg.TraceFlags = trace.TraceFlags(flags[0]) & (trace.FlagsSampled | trace.FlagsRandom)
	sc := trace.NewSpanContext(cfg)
	return sc, sc.IsValid()
}

// ParseTraceID reads an id that can serve as a trace id: 32 hex digits or a UUID
// (8-4-4-4-12), in any case, not all zero. It costs no allocation.
func ParseTraceID(s string) (trace.TraceID, bool) {
	var id trace.TraceID
	switch len(s) {
	case 32:
		if !decodeHex(id[:], s) {
			return trace.TraceID{}, false
		}
	case 36:
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' ||
			!decodeHex(id[0:4], s[0:8]) || !decodeHex(id[4:6], s[9:13]) ||
			!decodeHex(id[6:8], s[14:18]) || !decodeHex(id[8:10], s[19:23]) ||
			!decodeHex(id[10:16], s[24:36]) {
			return trace.TraceID{}, false
		}
	}
	return id, id.IsValid()
}

// SafeID returns s if it may be kept as an id that a peer chose: 1 to
// [MaxIDBytes] bytes of letters, digits and any of . _ : / + = @ , ~ -
// Nothing in it can break a log line, a header or a terminal.
func SafeID(s string) (string, bool) {
	if len(s) == 0 || len(s) > MaxIDBytes {
		return "", false
	}
	for i := range len(s) {
		if !isIDByte(s[i]) {
			return "", false
		}
	}
	return s, true
}

// ParseTracestate reads the values of a tracestate header; several are one list.
// What is invalid or longer than [MaxTracestateBytes] is ignored as a whole: it
// never costs the request its identity.
func ParseTracestate(values ...string) trace.TraceState {
	s, ok := joinBounded(values, MaxTracestateBytes)
	if !ok {
		return trace.TraceState{}
	}
	ts, err := trace.ParseTraceState(s)
	if err != nil {
		return trace.TraceState{}
	}
	return ts
}

// ParseBaggage reads the values of a baggage header; several are one list.
// Members that are invalid are dropped, the others kept; baggage longer than
// [MaxBaggageBytes] is dropped as a whole. It reports whether any member is left.
// Bad baggage is never an error to the peer.
func ParseBaggage(values ...string) (baggage.Baggage, bool) {
	s, ok := joinBounded(values, MaxBaggageBytes)
	if !ok {
		return baggage.Baggage{}, false
	}
	// On an error the result holds the members that are valid.
	b, _ := baggage.Parse(s)
	return b, b.Len() > 0
}

// joinBounded joins header values into one list, unless it is empty or longer
// than limit bytes.
func joinBounded(values []string, limit int) (string, bool) {
	if len(values) == 0 {
		return "", false
	}
	n := len(values) - 1
	for _, v := range values {
		n += len(v)
		if n > limit {
			return "", false
		}
	}
	if len(values) == 1 {
		return values[0], values[0] != ""
	}
	return strings.Join(values, ","), true
}

// decodeLowerHex decodes s, lower-case hex only, into dst of half its length.
func decodeLowerHex(dst []byte, s string) bool {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'F' {
			return false
		}
	}
	return decodeHex(dst, s)
}

// decodeHex decodes s into dst of half its length.
func decodeHex(dst []byte, s string) bool {
	for i := range dst {
		hi, lo := hexDigit(s[2*i]), hexDigit(s[2*i+1])
		if hi > 0xf || lo > 0xf {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

// hexDigit returns the value of a hex digit, or 0xff.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func isIDByte(c byte) bool {
	switch c {
	case '.', '_', ':', '/', '+', '=', '@', ',', '~', '-':
		return true
	}
	return isAlphaNum(c)
}

func isAlphaNum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
