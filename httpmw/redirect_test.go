// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
)

// headerCatcher is an HTTPS server that remembers the headers of its last request.
type headerCatcher struct {
	*httptest.Server
	got   http.Header
	calls atomic.Int32
}

func catchHeaders(t *testing.T, next http.HandlerFunc) *headerCatcher {
	t.Helper()
	c := &headerCatcher{}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.got = r.Header.Clone()
		c.calls.Add(1)
		if next != nil {
			next(w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func redirectTo(code int, url string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, code) }
}

func secretRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{
		"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Tenant", "Traceparent", "Tracestate",
		"Baggage", "X-Trace-Id", "X-Request-Id", "X-Request-Timeout-Ms", "B3",
	} {
		req.Header.Set(k, "a=b")
	}
	req.Header["x-raw-key"] = []string{"secret"}
	req.Header.Set("Accept", "text/plain")
	req.Header.Set("User-Agent", "shop/1")
	return req
}

// addsHeaders is a transport like those that propagate traces or sign requests.
func addsHeaders(next http.RoundTripper) http.RoundTripper {
	return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Traceparent", "of the transport")
		r.Header.Set("Authorization", "of the transport")
		return next.RoundTrip(r)
	})
}

func do(t *testing.T, c *http.Client, req *http.Request) error {
	t.Helper()
	resp, err := c.Do(req)
	if resp != nil {
		resp.Body.Close()
	}
	return err
}

func headerNames(h http.Header) []string { return slices.Sorted(maps.Keys(h)) }

func TestRedirectWithinTheOrigin(t *testing.T) {
	_, clientTLS := testTLS()
	var home *headerCatcher
	home = catchHeaders(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/next", http.StatusTemporaryRedirect)
		}
	})
	if err := do(t, newClient(t, httpmw.WithTLS(clientTLS)), secretRequest(t, http.MethodPost, home.URL, strings.NewReader("body"))); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"Authorization", "Cookie", "X-Api-Key", "X-Tenant", "Traceparent", "Baggage"} {
		if home.got.Get(k) != "a=b" {
			t.Errorf("%s was lost on a redirect that stays at home", k)
		}
	}
	if got := home.got.Get("Content-Length"); got != "4" && home.got.Get("Transfer-Encoding") == "" {
		t.Errorf("the body was lost: Content-Length %q", got)
	}
}

func TestRedirectLeaksNothing(t *testing.T) {
	_, clientTLS := testTLS()
	harmless := []string{"Accept", "Accept-Encoding", "User-Agent"}
	tests := map[string][]httpmw.ClientOption{
		"headers of the request": nil,
		"headers of a transport": {httpmw.WithTransports(addsHeaders)},
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			away := catchHeaders(t, nil)
			home := catchHeaders(t, redirectTo(http.StatusFound, away.URL+"/"))
			c := newClient(t, append(opts, httpmw.WithTLS(clientTLS))...)
			if err := do(t, c, secretRequest(t, http.MethodGet, home.URL+"/?token=secret", nil)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(harmless, headerNames(away.got)); diff != "" {
				t.Errorf("headers at the other origin (-want +got):\n%s", diff)
			}
			if home.got.Get("Authorization") == "" {
				t.Error("the request's own target did not get its headers")
			}
		})
	}
}

// http.Client copies the first request's headers anew for each hop, so a second
// redirect must not bring them back: not to a third host, nor home.
func TestRedirectTwiceLeaksNothing(t *testing.T) {
	_, clientTLS := testTLS()
	third := catchHeaders(t, nil)
	second := catchHeaders(t, redirectTo(http.StatusFound, third.URL+"/"))
	first := catchHeaders(t, redirectTo(http.StatusFound, second.URL+"/"))
	c := newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithTransports(addsHeaders))
	if err := do(t, c, secretRequest(t, http.MethodGet, first.URL, nil)); err != nil {
		t.Fatal(err)
	}
	harmless := []string{"Accept", "Accept-Encoding", "User-Agent"}
	if diff := cmp.Diff(harmless, headerNames(third.got)); diff != "" {
		t.Errorf("third host (-want +got):\n%s", diff)
	}

	var home *headerCatcher
	away := catchHeaders(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, home.URL+"/back", http.StatusFound)
	})
	home = catchHeaders(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/back" {
			http.Redirect(w, r, away.URL, http.StatusFound)
		}
	})
	if err := do(t, c, secretRequest(t, http.MethodGet, home.URL, nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(harmless, headerNames(home.got)); diff != "" || home.calls.Load() != 2 {
		t.Errorf("home again, %d calls (-want +got):\n%s", home.calls.Load(), diff)
	}
}

// A round tripper must not change a request that others still hold.
func TestRedirectLeavesTheTransportsRequestAlone(t *testing.T) {
	_, clientTLS := testTLS()
	away := catchHeaders(t, nil)
	home := catchHeaders(t, redirectTo(http.StatusFound, away.URL))
	var left []string
	retries := func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("Traceparent", "of the transport")
			resp, err := next.RoundTrip(r)
			left = append(left, r.Header.Get("Traceparent"))
			return resp, err
		})
	}
	c := newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithTransports(retries))
	if err := do(t, c, secretRequest(t, http.MethodGet, home.URL, nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"of the transport", "of the transport"}, left); diff != "" {
		t.Errorf("headers of the requests afterwards (-want +got):\n%s", diff)
	}
}

// A port or a scheme makes another origin too.
func TestOriginIsSchemeHostAndPort(t *testing.T) {
	tests := []struct {
		from, to string
		kept     bool
	}{
		{"https://a.example/x", "https://a.example/y", true},
		{"https://a.example/x", "https://A.EXAMPLE:443/y", true},
		{"http://a.example:80/x", "http://a.example/y", true},
		{"https://a.example/x", "https://a.example:8443/y", false},
		{"https://a.example/x", "https://sub.a.example/y", false}, // http.Client would keep them here
		{"http://a.example/x", "https://a.example/y", false},
		{"https://a.example/x", "https://a.example.evil.example/y", false},
		{"https://[::1]/x", "https://[::1]:443/y", true},
	}
	for _, tc := range tests {
		t.Run(tc.from+" to "+tc.to, func(t *testing.T) {
			c := newClient(t, httpmw.WithPlaintext())
			from := secretRequest(t, http.MethodGet, tc.from, nil)
			to := secretRequest(t, http.MethodGet, tc.to, nil)
			if err := c.CheckRedirect(to, []*http.Request{from}); err != nil {
				t.Fatal(err)
			}
			if kept := to.Header.Get("Authorization") != ""; kept != tc.kept {
				t.Errorf("credentials kept: %v, want %v", kept, tc.kept)
			}
		})
	}
}

func TestRedirectRefused(t *testing.T) {
	_, clientTLS := testTLS()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	away := catchHeaders(t, nil)
	tests := []struct {
		name, method string
		handler      http.HandlerFunc
		want         string
	}{
		{"from https to http", http.MethodGet, redirectTo(http.StatusFound, plain.URL), "from https to http"},
		{"for ever", http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			http.Redirect(w, r, "/?n="+strconv.Itoa(n+1), http.StatusFound)
		}, "more than 5 in one call"},
		{"the body to another origin", http.MethodPost, redirectTo(http.StatusPermanentRedirect, away.URL), "would send the body to another origin"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			home := catchHeaders(t, tc.handler)
			// Plain http is allowed here: the redirect itself has to be refused.
			c := newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithPlaintext())
			var body io.Reader
			if tc.method == http.MethodPost {
				body = strings.NewReader("secret")
			}
			err := do(t, c, secretRequest(t, tc.method, home.URL, body))
			if !errors.Is(err, httpmw.ErrRedirect) || !strings.Contains(err.Error(), `httpmw: client "test": redirect refused: `+tc.want) {
				t.Errorf("got %v, want ErrRedirect: %s", err, tc.want)
			}
			if tc.name == "for ever" && home.calls.Load() != 6 {
				t.Errorf("%d requests, want the first and five redirects", home.calls.Load())
			}
		})
	}
	if away.calls.Load() != 0 {
		t.Error("the other origin was called")
	}
}

// A POST that becomes a GET has no body left to leak, and is followed.
func TestRedirectSeeOther(t *testing.T) {
	_, clientTLS := testTLS()
	away := catchHeaders(t, nil)
	home := catchHeaders(t, redirectTo(http.StatusSeeOther, away.URL))
	c := newClient(t, httpmw.WithTLS(clientTLS))
	if err := do(t, c, secretRequest(t, http.MethodPost, home.URL, strings.NewReader("secret"))); err != nil {
		t.Fatal(err)
	}
	if away.calls.Load() != 1 {
		t.Error("the redirect was not followed")
	}
}

func TestNoRedirects(t *testing.T) {
	_, clientTLS := testTLS()
	home := catchHeaders(t, redirectTo(http.StatusFound, "/elsewhere"))
	code, _ := fetchText(t, newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithMaxRedirects(0)), home.URL)
	if code != http.StatusFound || home.calls.Load() != 1 {
		t.Errorf("got %d after %d requests, want the 302 itself", code, home.calls.Load())
	}
}
