// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"fmt"
	"net/http"
	"slices"
)

// Middleware wraps a handler. It is an alias, so that the middleware of any
// router or library that uses the plain function type fits without conversion.
type Middleware = func(http.Handler) http.Handler

// Transport wraps a round tripper: what Middleware is for a server, for a client.
type Transport = func(http.RoundTripper) http.RoundTripper

// Chain puts mws around h in the written order: the first one is the outermost
// and sees the request first. Without mws it returns h. It panics on a nil
// handler or middleware, when the chain is built and not on the first request.
func Chain(h http.Handler, mws ...Middleware) http.Handler {
	if h == nil {
		panic("httpmw: Chain: nil handler")
	}
	for i, mw := range slices.Backward(mws) {
		if mw == nil {
			panic(fmt.Sprintf("httpmw: Chain: middleware %d is nil", i))
		}
		h = mw(h)
	}
	return h
}

// ChainTransport puts ts around rt in the written order: the first one is the
// outermost and sees the request first. Without ts it returns rt. It panics on a
// nil round tripper or transport: nil never means [http.DefaultTransport] here.
func ChainTransport(rt http.RoundTripper, ts ...Transport) http.RoundTripper {
	if rt == nil {
		panic("httpmw: ChainTransport: nil round tripper")
	}
	for i, t := range slices.Backward(ts) {
		if t == nil {
			panic(fmt.Sprintf("httpmw: ChainTransport: transport %d is nil", i))
		}
		rt = t(rt)
	}
	return rt
}
