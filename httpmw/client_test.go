// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
)

func TestClientDefaults(t *testing.T) {
	c := newClient(t)
	p := httpmw.Pool(c)
	// These numbers are in the documentation: a change is a decision.
	want := map[string]any{
		"Timeout": 15 * time.Second, "TLSHandshakeTimeout": 5 * time.Second, "ResponseHeaderTimeout": 10 * time.Second,
		"IdleConnTimeout": 20 * time.Second, "ExpectContinueTimeout": time.Second,
		"MaxIdleConns": 1000, "MaxIdleConnsPerHost": 100, "MaxConnsPerHost": 256, "MaxResponseHeaderBytes": int64(65536),
		"SendPingTimeout": 10 * time.Second, "PingTimeout": 5 * time.Second,
		"Protocols": "{HTTP1,HTTP2}", "ForceAttemptHTTP2": true, "MinVersion": uint16(tls.VersionTLS12), "Proxy": false,
	}
	got := map[string]any{
		"Timeout": c.Timeout, "TLSHandshakeTimeout": p.TLSHandshakeTimeout, "ResponseHeaderTimeout": p.ResponseHeaderTimeout,
		"IdleConnTimeout": p.IdleConnTimeout, "ExpectContinueTimeout": p.ExpectContinueTimeout,
		"MaxIdleConns": p.MaxIdleConns, "MaxIdleConnsPerHost": p.MaxIdleConnsPerHost, "MaxConnsPerHost": p.MaxConnsPerHost, "MaxResponseHeaderBytes": p.MaxResponseHeaderBytes,
		"SendPingTimeout": p.HTTP2.SendPingTimeout, "PingTimeout": p.HTTP2.PingTimeout,
		"Protocols": p.Protocols.String(), "ForceAttemptHTTP2": p.ForceAttemptHTTP2, "MinVersion": p.TLSClientConfig.MinVersion, "Proxy": p.Proxy != nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if httpmw.DefaultClientIdleTimeout >= httpmw.DefaultServerIdleTimeout || httpmw.DefaultTimeout >= httpmw.DefaultWriteTimeout {
		t.Error("the server would give up before the client does")
	}
	if other := httpmw.Pool(newClient(t)); other == p {
		t.Error("two clients share a pool")
	}
}

func TestClientOptions(t *testing.T) {
	proxy := func(*http.Request) (*url.URL, error) { return nil, nil }
	c := newClient(t, httpmw.WithTimeout(1), httpmw.WithTLSHandshakeTimeout(2), httpmw.WithResponseHeaderTimeout(3),
		httpmw.WithIdleTimeout(4), httpmw.WithMaxIdleConnsPerHost(5), httpmw.WithMaxConnsPerHost(6), httpmw.WithMaxHeaderBytes(7000),
		httpmw.WithProxy(proxy))
	p := httpmw.Pool(c)
	got := []int64{
		int64(c.Timeout), int64(p.TLSHandshakeTimeout), int64(p.ResponseHeaderTimeout), int64(p.IdleConnTimeout),
		int64(p.MaxIdleConnsPerHost), int64(p.MaxConnsPerHost), p.MaxResponseHeaderBytes,
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5, 6, 7000}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.Proxy == nil {
		t.Error("the proxy function was lost")
	}
	if c := newClient(t, httpmw.WithTimeout(1), httpmw.WithoutTimeout()); c.Timeout != 0 {
		t.Errorf("WithoutTimeout: %v, want 0", c.Timeout)
	}
}

func TestClientRefusesOptions(t *testing.T) {
	tests := []struct {
		name, client string
		opt          httpmw.ClientOption
		want         string
	}{
		{"no name", "", httpmw.WithPlaintext(), `name "": must be 1 to 64 of [A-Za-z0-9._-]`},
		{"a name that is no label", "pay\nment", httpmw.WithPlaintext(), `name "pay\nment": must be`},
		{"a long name", strings.Repeat("a", 65), httpmw.WithPlaintext(), "must be 1 to 64"},
		{"timeout", "a", httpmw.WithTimeout(0), "Timeout 0s: must be positive"},
		{"dial timeout", "a", httpmw.WithDialTimeout(0), "DialTimeout 0s: must be positive"},
		{"handshake timeout", "a", httpmw.WithTLSHandshakeTimeout(-1), "TLSHandshakeTimeout -1ns: must be positive"},
		{"header timeout", "a", httpmw.WithResponseHeaderTimeout(0), "ResponseHeaderTimeout 0s: must be positive"},
		{"idle timeout", "a", httpmw.WithIdleTimeout(0), "IdleTimeout 0s: must be positive"},
		{"idle connections", "a", httpmw.WithMaxIdleConnsPerHost(0), "MaxIdleConnsPerHost 0: must be at least 1"},
		{"connections", "a", httpmw.WithMaxConnsPerHost(99), "MaxConnsPerHost 99: must not be below the MaxIdleConnsPerHost of 100"},
		{"redirects", "a", httpmw.WithMaxRedirects(-1), "MaxRedirects -1: must not be negative"},
		{"nil transport", "a", httpmw.WithTransports(nil), "Transports[0]: must not be nil"},
		{"nil TLS", "a", httpmw.WithTLS(nil), "TLS: nil config"},
		{"old TLS", "a", httpmw.WithTLS(&tls.Config{MinVersion: tls.VersionTLS10}), "TLS: MinVersion TLS 1.0: must be at least TLS 1.2"},
		{"h2c without plaintext", "a", httpmw.WithH2C(), "H2C: HTTP/2 without TLS needs WithPlaintext"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := httpmw.NewClient(tc.client, tc.opt)
			if c != nil || err == nil {
				t.Fatalf("got %v, %v; want an error", c, err)
			}
			if !strings.HasPrefix(err.Error(), "httpmw: NewClient: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
}

// closeRecorder is a request body that remembers that it was closed.
type closeRecorder struct {
	io.Reader
	closed atomic.Bool
}

func (c *closeRecorder) Close() error { c.closed.Store(true); return nil }

func TestClientRefusesPlaintext(t *testing.T) {
	var reached atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer srv.Close()
	var seen error
	watch := func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			seen = err
			return resp, err
		})
	}
	body := &closeRecorder{Reader: strings.NewReader("secret")}
	resp, err := newClient(t, httpmw.WithTransports(watch)).Post(srv.URL, "text/plain", body)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, httpmw.ErrPlaintext) || !strings.Contains(err.Error(), `httpmw: client "test": plain http refused`) {
		t.Errorf("got %v, want ErrPlaintext with the client's name", err)
	}
	if !errors.Is(seen, httpmw.ErrPlaintext) {
		t.Errorf("the transports saw %v, want the refusal", seen)
	}
	if reached.Load() != 0 || !body.closed.Load() {
		t.Errorf("reached the server %d times, body closed: %v", reached.Load(), body.closed.Load())
	}
	// A transport cannot turn the URL into a refused one either.
	downgrade := func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Scheme = "http"
			return next.RoundTrip(r)
		})
	}
	resp, err = newClient(t, httpmw.WithTransports(downgrade)).Get(strings.Replace(srv.URL, "http:", "https:", 1))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, httpmw.ErrPlaintext) {
		t.Errorf("downgraded: %v, want ErrPlaintext", err)
	}
}

func TestClientIgnoresTheProxyEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	serverTLS, clientTLS := testTLS()
	addr := startServer(t, protoHandler(), httpmw.WithTLS(serverTLS))
	// example.com is in the certificate, and unlike loopback not exempt from proxies.
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	c := newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithDialContext(dial))
	if code, got := fetchText(t, c, "https://example.com/"); code != 200 || got != "HTTP/2.0" {
		t.Errorf("got %d %s, want the server itself", code, got)
	}
}

// connCounter starts a server whose handler waits until n requests are there,
// and counts the connections it gets.
func connCounter(t *testing.T, n int) (url string, conns *atomic.Int32) {
	t.Helper()
	conns = new(atomic.Int32)
	var mu sync.Mutex
	waiting, gate := 0, make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		g := gate
		if waiting++; waiting == n {
			close(gate)
			waiting, gate = 0, make(chan struct{})
		}
		mu.Unlock()
		<-g
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, conns
}

func callTimes(t *testing.T, c *http.Client, url string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := c.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
}

func TestClientKeepsItsConnections(t *testing.T) {
	url, conns := connCounter(t, 100)
	c := newClient(t, httpmw.WithPlaintext())
	for range 3 {
		callTimes(t, c, url, 100)
		// A connection is put back right after the body's end was read, on
		// another goroutine: what matters is that they are not made anew.
	}
	if got := conns.Load(); got > 110 {
		t.Errorf("%d connections for 3 times 100 calls at once, want about 100", got)
	}
	c.CloseIdleConnections()
	callTimes(t, c, url, 100)
	if got := conns.Load(); got < 200 {
		t.Errorf("%d connections after CloseIdleConnections, want 100 more", got)
	}
}

func TestClientBoundsItsConnections(t *testing.T) {
	url, conns := connCounter(t, 1)
	c := newClient(t, httpmw.WithPlaintext(), httpmw.WithMaxIdleConnsPerHost(2), httpmw.WithMaxConnsPerHost(2))
	callTimes(t, c, url, 20)
	if got := conns.Load(); got > 2 {
		t.Errorf("%d connections, want at most 2", got)
	}
}

// The pool is reached through transports that have no CloseIdleConnections.
func TestCloseIdleConnectionsThroughTransports(t *testing.T) {
	url, conns := connCounter(t, 1)
	opaque := func(next http.RoundTripper) http.RoundTripper { return roundTripperFunc(next.RoundTrip) }
	c := newClient(t, httpmw.WithPlaintext(), httpmw.WithTransports(opaque), httpmw.WithTransports(opaque))
	for range 2 {
		callTimes(t, c, url, 1)
		c.CloseIdleConnections()
	}
	if got := conns.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

func TestClientLimitsAnswerHeaders(t *testing.T) {
	addr := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("a", int(r.ContentLength)))
	}), httpmw.WithPlaintext())
	c := newClient(t, httpmw.WithPlaintext())
	for size, ok := range map[int]bool{60_000: true, 80_000: false} {
		resp, err := c.Post("http://"+addr, "text/plain", strings.NewReader(strings.Repeat("b", size)))
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%d bytes of headers: error %v, want none: %v", size, err, ok)
		}
	}
}

// TestClientsShareNoConnections: a third party that is slow uses up its own alone,
// even on the same host.
func TestClientsShareNoConnections(t *testing.T) {
	release := make(chan struct{})
	base, _ := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	}), false)
	one := []httpmw.ClientOption{httpmw.WithPlaintext(), httpmw.WithMaxIdleConnsPerHost(1), httpmw.WithMaxConnsPerHost(1)}
	slow, other := newClient(t, one...), newClient(t, one...)
	var wg sync.WaitGroup
	wg.Go(func() {
		if resp, err := slow.Get(base + "/slow"); err == nil {
			resp.Body.Close()
		}
	})
	defer wg.Wait()
	defer close(release)
	waitFor(t, "the slow client to have no connection left", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
		resp, err := slow.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return errors.Is(err, context.DeadlineExceeded)
	})
	if got := get(t, other, base); got.StatusCode != http.StatusOK {
		t.Errorf("%d", got.StatusCode)
	}
}
