// SPDX-License-Identifier: Apache-2.0

package ctxutil

// Ingress says whether a server believes what its callers' headers say about a
// request. The zero value is [Trusted].
type Ingress uint8

const (
	// Trusted is for servers that only other services of the same owner reach.
	// The caller's trace is continued, its baggage and its business headers are
	// taken over.
	Trusted Ingress = iota
	// Public is for the edge, where strangers call. Each request is the root of
	// a trace of its own, with a link to the one the caller named, so a stranger
	// can neither choose trace ids nor force sampling. Baggage and business
	// headers are scrubbed: they neither reach a handler through the context nor
	// the next hop. A safe X-Request-ID is kept as the correlation id, since it
	// decides nothing.
	Public
)

// String returns "trusted" or "public".
func (i Ingress) String() string {
	switch i {
	case Trusted:
		return "trusted"
	case Public:
		return "public"
	default:
		return "unknown"
	}
}
