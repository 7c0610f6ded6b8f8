// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"io"
	"net/http"
	"slices"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// maxTries bounds how many instances one request tries to connect to.
const maxTries = 5

// Transport returns the transport that resolves requests to the service before next
// sends them; others go to next as they are. It comes last in a chain, next to the
// connection pool: what is above it sees the service, and calls it once for each attempt.
//
// A request is sent to the instance's address under the name that it was made for: the
// server finds the service in the Host header, and its response belongs to the caller's
// request. An instance that there is no connection to is out of picks at once, and
// because nothing was sent, another one is tried, up to five in all, if the request has
// no body or one that can be made again (GetBody).
func (r *Resolver) Transport(next http.RoundTripper) http.RoundTripper {
	return &transport{r, next}
}

type transport struct {
	r    *Resolver
	next http.RoundTripper
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (t *transport) CloseIdleConnections() {
	if next, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r := t.r
	if !r.serves(req.URL) {
		return t.next.RoundTrip(req)
	}
	if err := r.check(req.URL); err != nil {
		closeBody(req)
		return nil, err
	}
	if err := r.ready(req.Context()); err != nil {
		return nil, r.unpicked(req, err)
	}
	var (
		tried [maxTries]*balancer.Endpoint
		last  error
	)
	for n := range maxTries {
		body, ok := bodyOf(req, n)
		if !ok {
			break
		}
		pick, err := r.pick(tried[:n])
		switch {
		case err != nil && n == 0:
			return nil, r.unpicked(req, err)
		case err != nil, slices.Contains(tried[:n], pick.Endpoint()): // there is no other
			pick.Done(balancer.Ignored)
			if body != nil {
				_ = body.Close()
			}
			return nil, last
		}
		resp, connected, err := r.send(t.next, req, body, pick, n+1)
		if err == nil || connected {
			return resp, err
		}
		tried[n], last = pick.Endpoint(), err
	}
	return nil, last
}

// bodyOf returns the body for the n-th try after the first, if there is one.
func bodyOf(req *http.Request, n int) (io.ReadCloser, bool) {
	switch {
	case n == 0 || req.Body == nil || req.Body == http.NoBody:
		return req.Body, true
	case req.GetBody == nil:
		return nil, false
	default:
		body, err := req.GetBody()
		return body, err == nil
	}
}
