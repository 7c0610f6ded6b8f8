// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ErrRedirect is what a call fails with whose redirect a client of [NewClient]
// does not follow:
//   - one from https to http;
//   - one past the maximum ([WithMaxRedirects]);
//   - a 307 or 308 to another origin that would send the body there.
//
// A redirect to another origin (scheme, host or port differ from the first
// request) is followed, but only what negotiates the content goes there:
// credentials, cookies, trace and business headers and the Referer stay behind,
// and do not come back on a later redirect. That holds for what transports add
// as well. Replace the client's CheckRedirect to have it otherwise.
var ErrRedirect = errors.New("redirect refused")

// redirectHeaders are the ones that may follow a redirect to another origin. A
// list of what is allowed, because nobody can list what is secret.
var redirectHeaders = map[string]bool{
	"Accept":            true,
	"Accept-Encoding":   true,
	"Accept-Language":   true,
	"If-Match":          true,
	"If-Modified-Since": true,
	"If-None-Match":     true,
	"If-Range":          true,
	"Range":             true,
	"User-Agent":        true,
}

// checkRedirect returns the policy of a client, to be run before each redirect.
func checkRedirect(name string, limit int) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if limit == 0 {
			return http.ErrUseLastResponse
		}
		refuse := func(why string) error {
			if req.Body != nil {
				_ = req.Body.Close() // http.Client does not
			}
			return fmt.Errorf("httpmw: client %q: %w: %s", name, ErrRedirect, why)
		}
		if len(via) > limit {
			return refuse(fmt.Sprintf("more than %d in one call", limit))
		}
		if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return refuse("from https to " + req.URL.Scheme)
		}
		if !leftOrigin(req, via) {
			return nil
		}
		if req.Body != nil && req.Body != http.NoBody {
			return refuse("would send the body to another origin")
		}
		stripHeaders(req.Header)
		// Transports run after this, and add headers of their own: egressGuard
		// looks for the mark. The request is ours to change until it is sent.
		*req = *req.WithContext(context.WithValue(req.Context(), awayKey{}, true))
		return nil
	}
}

// awayKey marks, in the context of a request, that redirects led it to another origin.
type awayKey struct{}

// isAway reports whether redirects led the request to another origin.
func isAway(ctx context.Context) bool { return ctx.Value(awayKey{}) != nil }

// stripHeaders deletes what must not go to another origin.
func stripHeaders(h http.Header) {
	for k := range h {
		if !redirectHeaders[k] {
			delete(h, k)
		}
	}
}

// leftOrigin reports whether req, or a redirect before it, goes to another
// origin than the call's first request did. http.Client copies the headers of
// the first request anew each time: one hop away is away for good.
func leftOrigin(req *http.Request, via []*http.Request) bool {
	home := origin(via[0].URL)
	for _, r := range via[1:] {
		if origin(r.URL) != home {
			return true
		}
	}
	return origin(req.URL) != home
}

// origin is scheme, host and port in one spelling (RFC 6454, section 4).
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		switch u.Scheme {
		case "https":
			port = "443"
		case "http":
			port = "80"
		}
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
