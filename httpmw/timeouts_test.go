// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
)

// pipeListener accepts the far ends of in-memory connections, so that a server
// runs inside a bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	l.conns <- far
	return near, nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// servePipe starts a plaintext server with its default numbers, inside a bubble.
func servePipe(t *testing.T, h http.HandlerFunc) *pipeListener {
	t.Helper()
	srv, err := httpmw.NewServer(":80", h, httpmw.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	ln := newPipeListener()
	go func() { _ = httpmw.Serve(srv, ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return ln
}

func dialPipe(t *testing.T, ln *pipeListener) net.Conn {
	t.Helper()
	conn, _ := ln.dial(t.Context(), "", "")
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func expectAfter(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("after %v, want %v", got, want)
	}
}

func TestServerTimeoutsBite(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"

	t.Run("slow headers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := dialPipe(t, servePipe(t, func(http.ResponseWriter, *http.Request) { t.Error("called") }))
			start := time.Now()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nX-Slow")
			_, _ = io.ReadAll(conn)
			expectAfter(t, start, httpmw.DefaultReadHeaderTimeout)
		})
	})
	t.Run("slow body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			conn := dialPipe(t, servePipe(t, func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v, want ErrDeadlineExceeded", err)
				}
				expectAfter(t, start, httpmw.DefaultReadTimeout)
			}))
			_, _ = io.WriteString(conn, request+"half")
			_, _ = io.ReadAll(conn)
		})
	})
	t.Run("slow reader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			done := make(chan struct{})
			start := time.Now()
			conn := dialPipe(t, servePipe(t, func(w http.ResponseWriter, _ *http.Request) {
				defer close(done)
				_, _ = io.WriteString(w, "answer")
				if err := http.NewResponseController(w).Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("flush: %v, want ErrDeadlineExceeded", err)
				}
				expectAfter(t, start, httpmw.DefaultWriteTimeout)
			}))
			_, _ = io.WriteString(conn, request+"0123456789")
			<-done // nobody reads the answer
		})
	})
	t.Run("idle connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := dialPipe(t, servePipe(t, func(http.ResponseWriter, *http.Request) {}))
			_, _ = io.WriteString(conn, request+"0123456789")
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			start := time.Now()
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("read: %v, want EOF", err)
			}
			expectAfter(t, start, httpmw.DefaultServerIdleTimeout)
		})
	})
}

func pipeClient(t *testing.T, dial func(context.Context, string, string) (net.Conn, error), opts ...httpmw.ClientOption) *http.Client {
	t.Helper()
	return newClient(t, append(opts, httpmw.WithPlaintext(), httpmw.WithDialContext(dial))...)
}

func expectTimeout(t *testing.T, err error) {
	t.Helper()
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestClientTimeoutsBite(t *testing.T) {
	tests := []struct {
		name string
		url  string
		// far is what the other side does; nil: the connection is never made.
		far  func(conn net.Conn)
		want time.Duration
	}{
		{"dial", "http://a/", nil, httpmw.DefaultDialTimeout},
		{"TLS handshake", "https://a/", func(conn net.Conn) {
			_, _ = io.Copy(io.Discard, conn)
		}, httpmw.DefaultTLSHandshakeTimeout},
		{"headers", "http://a/", func(conn net.Conn) {
			_, _ = io.Copy(io.Discard, conn)
		}, httpmw.DefaultResponseHeaderTimeout},
		{"body", "http://a/", func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}, httpmw.DefaultTimeout},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := pipeClient(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
					if tc.far == nil {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					near, far := net.Pipe()
					t.Cleanup(func() { _ = far.Close() })
					go tc.far(far)
					return near, nil
				})
				start := time.Now()
				resp, err := c.Get(tc.url)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				expectTimeout(t, err)
				expectAfter(t, start, tc.want)
			})
		})
	}
}

func TestWithoutTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := servePipe(t, func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			_ = rc.SetWriteDeadline(time.Time{})
			_, _ = io.WriteString(w, "first ")
			_ = rc.Flush()
			time.Sleep(time.Hour)
			_, _ = io.WriteString(w, "last")
		})
		resp, err := pipeClient(t, ln.dial, httpmw.WithoutTimeout()).Get("http://a/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "first last" || err != nil {
			t.Errorf("got %q, %v; want both halves", body, err)
		}
	})
}

// A client drops an idle connection before the server does.
func TestClientDropsIdleConnectionsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled int
		ln := servePipe(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		c := pipeClient(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled++
			return ln.dial(ctx, network, addr)
		})
		for _, pause := range []time.Duration{0, httpmw.DefaultClientIdleTimeout - 1, httpmw.DefaultClientIdleTimeout + 1} {
			time.Sleep(pause)
			resp, err := c.Post("http://a/", "text/plain", strings.NewReader("not idempotent"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			synctest.Wait() // the connection is back in the pool
		}
		if dialled != 2 {
			t.Errorf("%d connections, want 2: one reused before the idle timeout, one made after it", dialled)
		}
	})
}
