// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"sync"
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
