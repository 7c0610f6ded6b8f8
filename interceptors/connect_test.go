// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/interceptors"
)

// TestWaitReadyFailsAtOnce when waiting cannot help, and says why.
func TestWaitReadyFailsAtOnce(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert := ca.certificate(t)
	for _, tc := range []struct {
		name   string
		server interceptors.ServerOption
		client *tls.Config // nil for none
		reason func(error) bool
	}{
		{"plaintext server", interceptors.WithPlaintext(), nil, is[tls.RecordHeaderError]},
		{"unknown CA", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
			&tls.Config{RootCAs: other.pool()}, is[*tls.CertificateVerificationError]},
		{"the system's CAs", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
			nil, is[*tls.CertificateVerificationError]},
		{"another name", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
			&tls.Config{RootCAs: ca.pool(), ServerName: "order.internal"}, is[x509.HostnameError]},
		{"client certificate wanted, TLS 1.3", interceptors.WithTLS(&tls.Config{
			Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
		}), &tls.Config{RootCAs: ca.pool()}, is[*net.OpError]},
		{"client certificate wanted, TLS 1.2", interceptors.WithTLS(&tls.Config{
			Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(), MaxVersion: tls.VersionTLS12,
		}), &tls.Config{RootCAs: ca.pool()}, is[*net.OpError]},
		{"no common version", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}),
			&tls.Config{RootCAs: ca.pool(), MaxVersion: tls.VersionTLS12}, is[*net.OpError]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr := listen(t, "127.0.0.1:0", tc.server)
			var opts []interceptors.ClientOption
			if tc.client != nil {
				opts = append(opts, interceptors.WithTLS(tc.client))
			}
			c := newClient(t, addr, opts...)
			ctx := soon(t)
			err := c.WaitReady(ctx)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("err = %v after %v, want one at once", err, ctx.Err())
			}
			if !tc.reason(err) {
				t.Errorf("err = %v, which does not wrap the reason", err)
			}
			if !strings.Contains(err.Error(), addr) {
				t.Errorf("err = %v, which does not name %s", err, addr)
			}
		})
	}
}

func is[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

// TestWaitReadyWaits for a server that is not there, as long as it may, and
// then says why not.
func TestWaitReadyWaits(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "") // with a proxy it is not known why not
	t.Setenv("https_proxy", "")
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	_ = lis.Close()
	c := newClient(t, addr, interceptors.WithPlaintext())
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("out of patience"))
	defer cancel()
	err = c.WaitReady(ctx)
	if ctx.Err() == nil {
		t.Errorf("gave up before its time: %v", err)
	}
	if !errors.Is(err, context.Cause(ctx)) || !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "\n") {
		t.Errorf("err = %v, want one line that wraps %v and %v", err, context.Cause(ctx), syscall.ECONNREFUSED)
	}

	// And the same connection is ready when the server has come up.
	ready := make(chan error, 1)
	go func() { ready <- c.WaitReady(soon(t)) }()
	listen(t, addr, interceptors.WithPlaintext())
	if err := <-ready; err != nil {
		t.Error(err)
	}
}

// TestWaitReadyClosed fails at once.
func TestWaitReadyClosed(t *testing.T) {
	c := newClient(t, "127.0.0.1:1", interceptors.WithPlaintext())
	_ = c.Close()
	ctx := soon(t)
	if err := c.WaitReady(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("err = %v", err)
	}
}

// TestProxyIsHonoured: where the environment names one, grpc-go's own dialer
// connects to it. The environment is read once a process, so it takes another.
func TestProxyIsHonoured(t *testing.T) {
	if os.Getenv("TEST_PROXY_CHILD") != "" {
		c := newClient(t, "dns:///order.example.com:443", interceptors.WithPlaintext())
		_ = c.WaitReady(soon(t)) // until the test has seen what it wants, and kills this
		return
	}
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProxyIsHonoured$")
	child.Env = append(os.Environ(), "TEST_PROXY_CHILD=1", "HTTPS_PROXY=http://"+proxy.Addr().String(), "NO_PROXY=", "no_proxy=")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = child.Wait() }()
	_ = proxy.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := proxy.Accept()
	if err != nil {
		t.Fatalf("the proxy was not asked: %v", err)
	}
	defer func() { _ = conn.Close() }()
	line := make([]byte, 64)
	n, _ := conn.Read(line)
	if !strings.HasPrefix(string(line[:n]), "CONNECT order.example.com:443") {
		t.Errorf("the proxy was asked %q", line[:n])
	}
}

// TestConnectTimeout: a server that accepts and says nothing is given its time,
// then given up, and tried again.
func TestConnectTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	c := newClient(t, silent.Addr().String(), interceptors.WithPlaintext(), interceptors.WithConnectTimeout(500*time.Millisecond))
	c.Connect()
	for range 2 {
		_ = silent.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
		conn, err := silent.Accept()
		if err != nil {
			t.Fatalf("not tried again: %v", err)
		}
		begun := time.Now()
		_, _ = io.Copy(io.Discard, conn) // until the client hangs up
		_ = conn.Close()
		if took := time.Since(begun); took < 400*time.Millisecond || took > 4*time.Second {
			t.Errorf("given up after %v, want 500ms", took)
		}
	}
}

// refusing is a connection whose server says that it wants no such client.
type refusing struct{ net.Conn }

func (refusing) Write(b []byte) (int, error) { return len(b), nil }

func (refusing) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
}

// TestWaitReadyHearsNews: a server that is not there at first, and then will
// never do, is given up then. To grpc-go that is one failure that lasts.
func TestWaitReadyHearsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c, err := interceptors.NewClient("passthrough:///inventory", interceptors.WithPlaintext(),
			interceptors.WithDialOptions(grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				if dials++; dials == 1 {
					return nil, syscall.ECONNREFUSED
				}
				near, far := net.Pipe()
				_ = far.Close()
				return refusing{near}, nil
			})))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if err := c.WaitReady(ctx); !is[*net.OpError](err) || time.Since(begun) > time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
