// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
)

// testTLS returns a server's and a client's TLS configuration that fit.
var testTLS = sync.OnceValues(func() (server, client *tls.Config) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{Certificates: srv.TLS.Certificates}, &tls.Config{RootCAs: roots}
})

// startServer serves on loopback as users do, and returns the address.
func startServer(t *testing.T, h http.Handler, opts ...httpmw.ServerOption) string {
	t.Helper()
	srv, err := httpmw.NewServer("127.0.0.1:0", h, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, srv, httpmw.Serve)
}

func serveOn(t *testing.T, srv *http.Server, serve func(*http.Server, net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := serve(srv, ln); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v, want ErrServerClosed", err)
		}
	})
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func newClient(t *testing.T, opts ...httpmw.ClientOption) *http.Client {
	t.Helper()
	c, err := httpmw.NewClient("test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestServerDefaults(t *testing.T) {
	serverTLS, _ := testTLS()
	for _, tc := range []struct {
		name      string
		opts      []httpmw.ServerOption
		protocols string
	}{
		{"TLS", []httpmw.ServerOption{httpmw.WithTLS(serverTLS)}, "{HTTP1,HTTP2}"},
		{"plaintext", []httpmw.ServerOption{httpmw.WithPlaintext()}, "{HTTP1}"},
		{"h2c", []httpmw.ServerOption{httpmw.WithPlaintext(), httpmw.WithH2C()}, "{HTTP1,UnencryptedHTTP2}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, err := httpmw.NewServer(":8443", http.NotFoundHandler(), tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			// These numbers are in the documentation: a change is a decision.
			want := map[string]any{
				"Addr": ":8443", "ReadHeaderTimeout": 5 * time.Second, "ReadTimeout": 15 * time.Second,
				"WriteTimeout": 20 * time.Second, "IdleTimeout": 25 * time.Second, "MaxHeaderBytes": 65536, "Protocols": tc.protocols,
			}
			got := map[string]any{
				"Addr": srv.Addr, "ReadHeaderTimeout": srv.ReadHeaderTimeout, "ReadTimeout": srv.ReadTimeout,
				"WriteTimeout": srv.WriteTimeout, "IdleTimeout": srv.IdleTimeout, "MaxHeaderBytes": srv.MaxHeaderBytes, "Protocols": srv.Protocols.String(),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := httpmw.CheckTTL(srv, 30*time.Second); err != nil {
				t.Errorf("the defaults do not fit a TTL of 30s: %v", err)
			}
			if isTLS := srv.TLSConfig != nil; isTLS != (tc.name == "TLS") {
				t.Errorf("TLSConfig set: %v", isTLS)
			}
		})
	}
}

func TestServerOptions(t *testing.T) {
	serverTLS, _ := testTLS()
	srv, err := httpmw.NewServer("127.0.0.1:0", http.NotFoundHandler(),
		httpmw.WithTLS(serverTLS), httpmw.WithReadHeaderTimeout(1), httpmw.WithReadTimeout(2),
		httpmw.WithWriteTimeout(3), httpmw.WithIdleTimeout(4), httpmw.WithMaxHeaderBytes(5000))
	if err != nil {
		t.Fatal(err)
	}
	got := []time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout, time.Duration(srv.MaxHeaderBytes)}
	if diff := cmp.Diff([]time.Duration{1, 2, 3, 4, 5000}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if srv.TLSConfig.MinVersion != tls.VersionTLS12 || serverTLS.MinVersion != 0 {
		t.Errorf("MinVersion %x of the server, %x of the given config; want TLS 1.2, and the given one untouched", srv.TLSConfig.MinVersion, serverTLS.MinVersion)
	}
	tls13 := serverTLS.Clone()
	tls13.MinVersion = tls.VersionTLS13
	srv, err = httpmw.NewServer(":0", http.NotFoundHandler(), httpmw.WithTLS(tls13), httpmw.WithReadTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if srv.TLSConfig.MinVersion != tls.VersionTLS13 {
		t.Error("a MinVersion of TLS 1.3 was lowered")
	}
	if srv.ReadHeaderTimeout != time.Second {
		t.Errorf("ReadHeaderTimeout %v beside a ReadTimeout of 1s, want 1s", srv.ReadHeaderTimeout)
	}
}

func TestServerRefuses(t *testing.T) {
	serverTLS, _ := testTLS()
	plain := httpmw.WithPlaintext()
	tests := []struct {
		name, addr string
		opts       []httpmw.ServerOption
		want       string
	}{
		{"neither TLS nor plaintext", ":0", nil, "TLS: exactly one of WithTLS and WithPlaintext is required"},
		{"both", ":0", []httpmw.ServerOption{plain, httpmw.WithTLS(serverTLS)}, "TLS: exactly one of WithTLS and WithPlaintext is required"},
		{"nil TLS", ":0", []httpmw.ServerOption{httpmw.WithTLS(nil)}, "TLS: nil config"},
		{"no certificate", ":0", []httpmw.ServerOption{httpmw.WithTLS(&tls.Config{})}, "TLS: the config has no certificate"},
		{"old TLS", ":0", []httpmw.ServerOption{httpmw.WithTLS(&tls.Config{Certificates: serverTLS.Certificates, MinVersion: tls.VersionTLS11})}, "TLS: MinVersion TLS 1.1: must be at least TLS 1.2"},
		{"only old TLS", ":0", []httpmw.ServerOption{httpmw.WithTLS(&tls.Config{Certificates: serverTLS.Certificates, MaxVersion: tls.VersionTLS11})}, "TLS: MaxVersion TLS 1.1: must be at least TLS 1.2"},
		{"h2c with TLS", ":0", []httpmw.ServerOption{httpmw.WithTLS(serverTLS), httpmw.WithH2C()}, "H2C: HTTP/2 without TLS needs WithPlaintext"},
		{"no address", "", []httpmw.ServerOption{plain}, `addr "": must be host:port`},
		{"no port", "localhost:", []httpmw.ServerOption{plain}, `addr "localhost:": must be host:port`},
		{"read header timeout", ":0", []httpmw.ServerOption{plain, httpmw.WithReadHeaderTimeout(0)}, "ReadHeaderTimeout 0s: must be positive"},
		{"read timeout", ":0", []httpmw.ServerOption{plain, httpmw.WithReadTimeout(0)}, "ReadTimeout 0s: must be positive"},
		{"write timeout", ":0", []httpmw.ServerOption{plain, httpmw.WithWriteTimeout(-1)}, "WriteTimeout -1ns: must be positive"},
		{"idle timeout", ":0", []httpmw.ServerOption{plain, httpmw.WithIdleTimeout(0)}, "IdleTimeout 0s: must be positive"},
		{"header above all", ":0", []httpmw.ServerOption{plain, httpmw.WithReadHeaderTimeout(time.Minute)}, "ReadHeaderTimeout 1m0s: must not be above the ReadTimeout of 15s"},
		{"header bytes", ":0", []httpmw.ServerOption{plain, httpmw.WithMaxHeaderBytes(1023)}, "MaxHeaderBytes 1023: must be at least 1024"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			srv, err := httpmw.NewServer(tc.addr, http.NotFoundHandler(), tc.opts...)
			if srv != nil || err == nil {
				t.Fatalf("got %v, %v; want an error", srv, err)
			}
			if !strings.HasPrefix(err.Error(), "httpmw: NewServer: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
	if _, err := httpmw.NewServer(":0", nil, plain); err == nil || !strings.Contains(err.Error(), "handler: must not be nil") {
		t.Errorf("nil handler: %v, want an error", err)
	}
}

func TestCheckTTL(t *testing.T) {
	srv, err := httpmw.NewServer(":0", http.NotFoundHandler(), httpmw.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	const below = ": must be above zero and below the registry TTL of "
	tests := []struct {
		name   string
		change func(*http.Server)
		ttl    time.Duration
		want   string
	}{
		{"fits by a nanosecond", func(*http.Server) {}, 25*time.Second + 1, ""},
		{"idle equals the TTL", func(*http.Server) {}, 25 * time.Second, "httpmw: CheckTTL: IdleTimeout 25s" + below + "25s"},
		{"no TTL", func(*http.Server) {}, 0, "httpmw: CheckTTL: ttl 0s: must be positive"},
		{"every field counts", func(s *http.Server) {
			s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 0, 31*time.Second, -1, time.Minute
		}, 30 * time.Second, "httpmw: CheckTTL: ReadHeaderTimeout 0s" + below + "30s\n" +
			"httpmw: CheckTTL: ReadTimeout 31s" + below + "30s\n" +
			"httpmw: CheckTTL: WriteTimeout -1ns" + below + "30s\n" +
			"httpmw: CheckTTL: IdleTimeout 1m0s" + below + "30s"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := &http.Server{ReadHeaderTimeout: srv.ReadHeaderTimeout, ReadTimeout: srv.ReadTimeout, WriteTimeout: srv.WriteTimeout, IdleTimeout: srv.IdleTimeout}
			tc.change(s)
			got := ""
			if err := httpmw.CheckTTL(s, tc.ttl); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func protoHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})
}

func fetchText(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServeProtocols(t *testing.T) {
	serverTLS, clientTLS := testTLS()
	overTLS := startServer(t, protoHandler(), httpmw.WithTLS(serverTLS))
	plain := startServer(t, protoHandler(), httpmw.WithPlaintext())
	h2c := startServer(t, protoHandler(), httpmw.WithPlaintext(), httpmw.WithH2C())
	tests := []struct {
		name string
		c    *http.Client
		url  string
		want string
	}{
		{"TLS", newClient(t, httpmw.WithTLS(clientTLS)), "https://" + overTLS, "HTTP/2.0"},
		{"plaintext", newClient(t, httpmw.WithPlaintext()), "http://" + plain, "HTTP/1.1"},
		{"plaintext client on TLS", newClient(t, httpmw.WithPlaintext(), httpmw.WithTLS(clientTLS)), "https://" + overTLS, "HTTP/2.0"},
		{"h2c", newClient(t, httpmw.WithPlaintext(), httpmw.WithH2C()), "http://" + h2c, "HTTP/2.0"},
		{"HTTP/1 on an h2c server", newClient(t, httpmw.WithPlaintext()), "http://" + h2c, "HTTP/1.1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, got := fetchText(t, tc.c, tc.url); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	t.Run("no h2c unless asked for", func(t *testing.T) {
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithH2C())
		if resp, err := c.Get("http://" + plain); err == nil {
			resp.Body.Close()
			t.Errorf("got %s over %s, want an error", resp.Status, resp.Proto)
		}
	})
	t.Run("no TLS 1.1", func(t *testing.T) {
		cfg := clientTLS.Clone()
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		conn, err := tls.Dial("tcp", overTLS, cfg)
		if err == nil {
			conn.Close()
			t.Error("the server took TLS 1.1")
		}
	})
}

// Whoever starts a server made for TLS with Serve or ListenAndServe gets refusals.
func TestPlaintextToTLSServer(t *testing.T) {
	serverTLS, _ := testTLS()
	secret := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	srv, err := httpmw.NewServer("127.0.0.1:0", secret, httpmw.WithTLS(serverTLS))
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, srv, (*http.Server).Serve)
	code, body := fetchText(t, newClient(t, httpmw.WithPlaintext()), "http://"+addr)
	if code != http.StatusBadRequest || !strings.Contains(body, "this server speaks HTTPS only") {
		t.Errorf("got %d %q, want 400 and the reason", code, body)
	}
}

func TestServeForeignServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := httpmw.Serve(&http.Server{}, ln); err == nil || errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v, want an error", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener was left open: %v", err)
	}
}

func TestServerHeaderLimit(t *testing.T) {
	addr := startServer(t, protoHandler(), httpmw.WithPlaintext())
	c := newClient(t, httpmw.WithPlaintext())
	for size, want := range map[int]int{60_000: 200, 80_000: http.StatusRequestHeaderFieldsTooLarge} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("a", size))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes of headers: got %d, want %d", size, resp.StatusCode, want)
		}
	}
}

type ctxKey struct{}

func TestServerBaseContextAndErrorLog(t *testing.T) {
	var logged lockedBuffer
	base := context.WithValue(t.Context(), ctxKey{}, "base")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusTeapot) // superfluous: the server complains
		_, _ = io.WriteString(w, r.Context().Value(ctxKey{}).(string))
	})
	addr := startServer(t, h, httpmw.WithPlaintext(), httpmw.WithBaseContext(base),
		httpmw.WithErrorLog(slog.New(slog.NewJSONHandler(&logged, nil))))
	if _, body := fetchText(t, newClient(t, httpmw.WithPlaintext()), "http://"+addr); body != "base" {
		t.Errorf("got %q from the base context, want %q", body, "base")
	}
	var line struct{ Level, Msg string }
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "WARN" || !strings.Contains(line.Msg, "superfluous") {
		t.Errorf("logged %+v, want a WARN about the superfluous call", line)
	}
}

// lockedBuffer is a buffer that a server may write to while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// TestShutdownServesWhatIsOnItsWay: a connection that was made before the end, and
// whose request comes after it, gets its answer.
func TestShutdownServesWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	served := make(chan struct{}, 2)
	srv, err := httpmw.NewServer("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
		served <- struct{}{}
	}), httpmw.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, srv, httpmw.Serve)
	ask := func(c net.Conn) {
		t.Helper()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Error(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(answer), "served") {
			t.Errorf("answer %q, %v", answer, err)
		}
		_ = c.Close()
	}
	var conns []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	ask(conns[0]) // the second one is accepted by now, or about to be
	<-served
	done := make(chan error, 1)
	go func() { done <- httpmw.Shutdown(t.Context(), srv) }()
	for { // until nobody listens
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	ask(conns[1])
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-served
}

// values is a listener whose type, and that of whose connections, cannot be keys of a
// map, as those of users may be.
type values struct {
	net.Listener
	_ []string
}

type value struct {
	net.Conn
	_ []string
}

func (v values) Accept() (net.Conn, error) {
	c, err := v.Listener.Accept()
	return value{Conn: c}, err
}

func TestServesAnyListener(t *testing.T) {
	t.Parallel()
	srv, err := httpmw.NewServer("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	}), httpmw.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, srv, func(srv *http.Server, l net.Listener) error { return httpmw.Serve(srv, values{Listener: l}) })
	if _, text := fetchText(t, newClient(t, httpmw.WithPlaintext()), "http://"+addr); text != "served" {
		t.Errorf("answer %q", text)
	}
	if err := httpmw.Shutdown(t.Context(), srv); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("it listens after its end")
	}
}

// TestShutdownWithIdleConnections: connections that were made for a request which went
// over another one do not hold up the end.
func TestShutdownWithIdleConnections(t *testing.T) {
	t.Parallel()
	srv, err := httpmw.NewServer("127.0.0.1:0", protoHandler(), httpmw.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	addr := serveOn(t, srv, httpmw.Serve)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fetchText(t, newClient(t, httpmw.WithPlaintext()), "http://"+addr) // both are accepted
	start := time.Now()
	if err := httpmw.Shutdown(t.Context(), srv); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}
