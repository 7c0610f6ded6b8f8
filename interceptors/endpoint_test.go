// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
)

// authority is a CA made for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	der := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a, &a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a key, and a certificate for it by a, or by itself while a has none.
func sign(t *testing.T, template *x509.Certificate, a *authority, key **ecdsa.PrivateKey) []byte {
	t.Helper()
	var err error
	if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &(*key).PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certificate is one for 127.0.0.1.
func (a *authority) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	var key *ecdsa.PrivateKey
	der := sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "somebody"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a, &key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// listen serves with our defaults at address, and returns where.
func listen(t *testing.T, address string, opts ...interceptors.ServerOption) string {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	lis, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s, err := interceptors.NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	testgrpc.RegisterTestServiceServer(s, &service{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	t.Cleanup(func() { s.Stop(); wg.Wait() })
	return lis.Addr().String()
}

func newClient(t *testing.T, target string, opts ...interceptors.ClientOption) *interceptors.Client {
	t.Helper()
	c, err := interceptors.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// soon is long enough for whatever is to happen at once, and what a wait that
// does not end at once takes.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	addr := listen(t, "127.0.0.1:0", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.certificate(t)}}))
	c := newClient(t, addr, interceptors.WithTLS(&tls.Config{RootCAs: ca.pool()}))
	if err := c.WaitReady(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := callUnary(soon(t), testgrpc.NewTestServiceClient(c)); err != nil {
		t.Fatal(err)
	}
}

func TestPlaintext(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "s")} {
		addr := listen(t, address, interceptors.WithPlaintext())
		if address != "127.0.0.1:0" {
			addr = "unix://" + addr
		}
		c := newClient(t, addr, interceptors.WithPlaintext())
		if err := c.WaitReady(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := callUnary(soon(t), testgrpc.NewTestServiceClient(c)); err != nil {
			t.Fatal(err)
		}
	}
}

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

// TestDefaults pins the numbers, and that they are in force.
func TestDefaults(t *testing.T) {
	for name, pair := range map[string][2]any{
		"DefaultMaxReceiveBytes":      {interceptors.DefaultMaxReceiveBytes, 4 << 20},
		"DefaultKeepaliveTime":        {interceptors.DefaultKeepaliveTime, 30 * time.Second},
		"DefaultKeepaliveTimeout":     {interceptors.DefaultKeepaliveTimeout, 10 * time.Second},
		"DefaultConnectTimeout":       {interceptors.DefaultConnectTimeout, 10 * time.Second},
		"DefaultMaxConcurrentStreams": {interceptors.DefaultMaxConcurrentStreams, 1000},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
	addr := listen(t, "127.0.0.1:0", interceptors.WithPlaintext())
	small := listen(t, "127.0.0.1:0", interceptors.WithPlaintext(), interceptors.WithMaxReceiveBytes(100))
	for _, tc := range []struct {
		name, addr string
		opts       []interceptors.ClientOption
		bytes      int
		code       codes.Code
	}{
		{"under the default", addr, nil, 4<<20 - 100, codes.OK},
		{"over the default", addr, nil, 4<<20 + 1, codes.ResourceExhausted},
		{"over the server's own", small, nil, 200, codes.ResourceExhausted},
	} {
		c := newClient(t, tc.addr, append(tc.opts, interceptors.WithPlaintext())...)
		_, err := testgrpc.NewTestServiceClient(c).UnaryCall(soon(t), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, tc.bytes)}})
		if status.Code(err) != tc.code {
			t.Errorf("%s: err = %.80v, want %v", tc.name, err, tc.code)
		}
	}
}

// TestBadOptions are errors that name the option, the value and the rule.
func TestBadOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  interceptors.EndpointOption
		want string
	}{
		{"max receive", interceptors.WithMaxReceiveBytes(0), "WithMaxReceiveBytes: 0 is not positive"},
		{"connect timeout", interceptors.WithConnectTimeout(-time.Second), "WithConnectTimeout: -1s is not positive"},
		{"keepalive", interceptors.WithKeepalive(time.Second, time.Second), "WithKeepalive: 1s is less than the 10s that servers allow"},
		{"keepalive timeout", interceptors.WithKeepalive(time.Minute, 0), "WithKeepalive: 0s is not positive"},
		{"nil TLS", interceptors.WithTLS(nil), "WithTLS: nil config"},
		{"both", bothSecurities{interceptors.WithTLS(&tls.Config{MinVersion: tls.VersionTLS12}), interceptors.WithPlaintext()}, "WithTLS and WithPlaintext exclude each other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, server := []interceptors.ClientOption{tc.opt}, []interceptors.ServerOption{tc.opt, interceptors.WithPlaintext()}
			if both, ok := tc.opt.(bothSecurities); ok {
				client = []interceptors.ClientOption{both.EndpointOption, both.other}
				server = []interceptors.ServerOption{both.EndpointOption, both.other}
			}
			if _, err := interceptors.NewClient("order", client...); err == nil || !strings.Contains(err.Error(), `interceptors: NewClient "order": `) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewClient: %v, want %s", err, tc.want)
			}
			if _, err := interceptors.NewServer(server...); err == nil || !strings.Contains(err.Error(), "interceptors: NewServer: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewServer: %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := interceptors.NewServer(); err == nil || !strings.Contains(err.Error(), "WithTLS or, asked for by name, WithPlaintext") {
		t.Errorf("NewServer without TLS: %v", err)
	}
	if _, err := interceptors.NewClient("nosuchscheme:///x\x00", interceptors.WithPlaintext()); err == nil {
		t.Error("NewClient with a bad target: no error")
	}
}

// bothSecurities is two options that exclude each other.
type bothSecurities struct {
	interceptors.EndpointOption
	other interceptors.EndpointOption
}

// TestOptionsWin: grpc-go's own options come last.
func TestOptionsWin(t *testing.T) {
	addr := listen(t, "127.0.0.1:0", interceptors.WithPlaintext(), interceptors.WithGRPCOptions(grpc.MaxRecvMsgSize(100)))
	c := newClient(t, "passthrough:///anywhere", interceptors.WithPlaintext(),
		interceptors.WithDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		})))
	_, err := testgrpc.NewTestServiceClient(c).UnaryCall(soon(t), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 200)}})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("err = %v, want ResourceExhausted", err)
	}
}

// oldSuites are some that TLS 1.0 knows.
var oldSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}

// TestOldTLSIsRefused whatever the configuration says.
func TestOldTLSIsRefused(t *testing.T) {
	ca := newAuthority(t)
	addr := listen(t, "127.0.0.1:0", interceptors.WithTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.certificate(t)},
		MinVersion:   tls.VersionTLS10, CipherSuites: oldSuites, //nolint:gosec // that is the point
	}))
	conn, err := tls.Dial("tcp", addr, &tls.Config{ //nolint:gosec // that is the point
		RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, CipherSuites: oldSuites, NextProtos: []string{"h2"},
	})
	if err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was spoken")
	}
}

// TestStreamsPerConnection: the default bound is in force.
func TestStreamsPerConnection(t *testing.T) {
	addr := listen(t, "127.0.0.1:0", interceptors.WithPlaintext())
	c := newClient(t, addr, interceptors.WithPlaintext())
	client := testgrpc.NewTestServiceClient(c)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	// Until the server's settings have come, a client knows of no bound.
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for range interceptors.DefaultMaxConcurrentStreams {
		if _, err := client.FullDuplexCall(ctx); err != nil {
			t.Fatal(err)
		}
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := client.FullDuplexCall(short); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("one stream too many: err = %v, want it to wait", err)
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

// TestKeepaliveOfOurs: our server bears the pings of our client, at the shortest
// interval there is, for as long as a stream is silent.
func TestKeepaliveOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := interceptors.NewServer(interceptors.WithPlaintext())
		if err != nil {
			t.Fatal(err)
		}
		testgrpc.RegisterTestServiceServer(s, &service{})
		lis := bufconn.Listen(1 << 16)
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Serve(lis) })
		defer wg.Wait()
		defer s.Stop()
		c, err := interceptors.NewClient("passthrough:///inventory", interceptors.WithPlaintext(),
			interceptors.WithKeepalive(10*time.Second, time.Second),
			interceptors.WithDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) })))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		cs, err := testgrpc.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := cs.Recv(); err != nil {
			t.Errorf("after an hour of silence: %v", err)
		}
	})
}
