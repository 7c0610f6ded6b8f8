// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// binSuffix marks a key whose values are bytes, not text, as in gRPC metadata.
const binSuffix = "-bin"

// Carrier is one view of the headers of an HTTP message and of the metadata of a
// gRPC call. Keys are case-insensitive; they are written as the transport stores
// them, canonical for HTTP and lower case for gRPC, and read in any case.
//
// Values are plain on this side of a carrier. The values of a key that ends in
// -bin are raw bytes: over HTTP they are base64 in the header, encoded by Set and
// decoded by Get; over gRPC the transport does that itself. So a value that is
// read from one carrier and written to another is decoded and encoded once,
// whatever the two transports are.
//
// A Carrier is a small value that shares the map it was made from. It is as safe
// for concurrent use as that map is. The zero Carrier is empty and ignores writes.
type Carrier struct {
	m    map[string][]string
	http bool
}

var (
	_ propagation.TextMapCarrier = Carrier{}
	_ propagation.ValuesGetter   = Carrier{}
)

// HTTPCarrier returns the carrier over h.
func HTTPCarrier(h http.Header) Carrier { return Carrier{m: h, http: true} }

// MetadataCarrier returns the carrier over md, a metadata.MD of grpc-go.
func MetadataCarrier(md map[string][]string) Carrier { return Carrier{m: md} }

// Get returns the first value of key, or "".
func (c Carrier) Get(key string) string {
	vs := c.stored(key)
	if c.encodes(key) {
		vs = decodeBin(vs)
	}
	if len(vs) == 0 {
		return ""
	}
	return vs[0]
}

// Values returns all values of key. The slice is not to be modified. Of a -bin
// key over HTTP, values that are not base64 are left out.
func (c Carrier) Values(key string) []string {
	vs := c.stored(key)
	if c.encodes(key) {
		return decodeBin(vs)
	}
	return vs
}

// Has reports whether there is a value for key.
func (c Carrier) Has(key string) bool { return len(c.stored(key)) > 0 }

// Set makes value the only value of key.
func (c Carrier) Set(key, value string) {
	if c.m == nil {
		return
	}
	if c.encodes(key) {
		value = encodeBin(value)
	}
	c.m[c.fold(key)] = []string{value}
}

// SetAll makes values the values of key; none removes it. It keeps no reference
// to the slice.
func (c Carrier) SetAll(key string, values []string) {
	if len(values) == 0 {
		c.Del(key)
		return
	}
	if c.m == nil {
		return
	}
	values = slices.Clone(values)
	if c.encodes(key) {
		for i, v := range values {
			values[i] = encodeBin(v)
		}
	}
	c.m[c.fold(key)] = values
}

// Add appends value to those of key.
func (c Carrier) Add(key, value string) {
	if c.m == nil {
		return
	}
	if c.encodes(key) {
		value = encodeBin(value)
	}
	k := c.fold(key)
	c.m[k] = append(c.m[k], value)
}

// Del removes key.
func (c Carrier) Del(key string) {
	delete(c.m, key)
	delete(c.m, c.fold(key))
}

// Keys returns the keys, lower case, in no order.
func (c Carrier) Keys() []string {
	keys := make([]string, 0, len(c.m))
	for k := range c.m {
		keys = append(keys, toLower(k))
	}
	return keys
}

// Copy copies the values of the named keys from src to dst and returns how many
// keys that were. Keys that are reserved ([IsReserved]) or that src names in its
// Connection header are left alone: they belong to one hop.
func Copy(dst, src Carrier, keys ...string) int {
	n := 0
	for _, key := range keys {
		if IsReserved(key) || src.namedByConnection(key) {
			continue
		}
		if vs := src.Values(key); len(vs) > 0 {
			dst.SetAll(key, vs)
			n++
		}
	}
	return n
}

// IsReserved reports whether key, in any case, is never forwarded as a business
// header: because it is meant for one hop (RFC 9110 §7.6.1), describes or routes
// the message it came with, belongs to the gRPC protocol, or carries the
// identity and deadline, which every hop writes anew.
func IsReserved(key string) bool {
	var buf [64]byte
	if len(key) == 0 || key[0] == ':' {
		return true
	}
	// No reserved name is longer than this, and each prefix is shorter.
	b := lower(buf[:0], key[:min(len(key), len(buf))])
	switch string(b) {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "max-forwards", "via",
		"host", "user-agent", "expect", "date", "accept-encoding", "range",
		KeyTraceparent, KeyTracestate, KeyBaggage, KeyTraceID, KeyRequestID, KeyRequestTimeout,
		"b3", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context":
		return true
	}
	return hasPrefix(b, "grpc-") || hasPrefix(b, "content-") || hasPrefix(b, "x-b3-") || hasPrefix(b, "uberctx-")
}

// stored returns the values of key as the map has them, without allocating for
// keys of usual length.
func (c Carrier) stored(key string) []string {
	if vs, ok := c.m[key]; ok || len(c.m) == 0 {
		return vs
	}
	var buf [64]byte
	if len(key) > len(buf) {
		return c.m[c.fold(key)]
	}
	b := lower(buf[:0], key)
	if c.http {
		upper := true
		for i, ch := range b {
			if upper && 'a' <= ch && ch <= 'z' {
				b[i] = ch - 'a' + 'A'
			}
			upper = ch == '-'
		}
	}
	return c.m[string(b)]
}

// fold returns key as the transport stores it. The headers written on every call
// cost no allocation in either spelling.
func (c Carrier) fold(key string) string {
	if !c.http {
		switch key {
		case HeaderTraceparent:
			return KeyTraceparent
		case HeaderTracestate:
			return KeyTracestate
		case HeaderBaggage:
			return KeyBaggage
		case HeaderTraceID:
			return KeyTraceID
		case HeaderRequestID:
			return KeyRequestID
		case HeaderRequestTimeout:
			return KeyRequestTimeout
		}
		return toLower(key)
	}
	switch key {
	case KeyTraceparent:
		return HeaderTraceparent
	case KeyTracestate:
		return HeaderTracestate
	case KeyBaggage:
		return HeaderBaggage
	case KeyTraceID:
		return HeaderTraceID
	case KeyRequestID:
		return HeaderRequestID
	case KeyRequestTimeout:
		return HeaderRequestTimeout
	}
	return textproto.CanonicalMIMEHeaderKey(key)
}

// encodes reports whether this carrier holds the values of key as base64.
func (c Carrier) encodes(key string) bool { return c.http && isBin(key) }

// namedByConnection reports whether the message says that key is for one hop only.
func (c Carrier) namedByConnection(key string) bool {
	for _, v := range c.stored("Connection") {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), key) {
				return true
			}
		}
	}
	return false
}

// isBin reports whether the values of key are bytes.
func isBin(key string) bool {
	n := len(key) - len(binSuffix)
	return n > 0 && strings.EqualFold(key[n:], binSuffix)
}

func encodeBin(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }

// decodeBin decodes the values of a -bin header: padded or not, and each a list,
// because a proxy may have joined them (gRPC over HTTP/2, "Custom-Metadata").
func decodeBin(encoded []string) []string {
	if len(encoded) == 0 {
		return nil
	}
	plain := make([]string, 0, len(encoded))
	for _, list := range encoded {
		for v := range strings.SplitSeq(list, ",") {
			v = strings.TrimRight(strings.TrimSpace(v), "=")
			if b, err := base64.RawStdEncoding.DecodeString(v); err == nil {
				plain = append(plain, string(b))
			}
		}
	}
	return plain
}

// lower appends s to dst in lower case (ASCII).
func lower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// toLower is strings.ToLower for ASCII alone: no other letter is to become one
// that a key may have, as the Kelvin sign would.
func toLower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return string(lower(make([]byte, 0, len(s)), s))
		}
	}
	return s
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
