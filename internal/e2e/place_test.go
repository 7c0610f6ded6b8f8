// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
)

// place is where a server listens and its clients find it.
type place struct {
	net.Listener
	dial func(ctx context.Context) (net.Conn, error)
}

// onLoopback is a place on the real network.
func onLoopback(t *testing.T) place {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return place{lis, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", lis.Addr().String())
	}}
}

// inMemory is a place in a bubble, where time is virtual.
func inMemory(*testing.T) place {
	p := newPipes()
	return place{p, p.dial}
}

// sick is what a server answers that does not work: Unavailable or 503 and, if it
// knows, when it will. It says so in the words of gRPC and HTTP alone, as servers do
// that know nothing of Fairlead.
type sick struct{ after time.Duration }

func (e *sick) Error() string { return "sick" }

// GRPCStatus is what a gRPC server answers.
func (e *sick) GRPCStatus() *status.Status {
	st := status.New(codes.Unavailable, "sick")
	if e.after == 0 {
		return st
	}
	st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.after)})
	return st
}

func (e *sick) write(w http.ResponseWriter) {
	if e.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.after.Seconds())))
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// serveGRPC starts a gRPC server at a place, which is there until the test is over.
func serveGRPC(t *testing.T, at place, impl testgrpc.TestServiceServer, is ...interceptors.ServerInterceptor) *grpc.Server {
	t.Helper()
	srv, err := interceptors.NewServer(interceptors.WithPlaintext(), interceptors.WithServerInterceptors(is...),
		interceptors.WithGRPCOptions(grpc.MaxConcurrentStreams(1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	testgrpc.RegisterTestServiceServer(srv, impl)
	done := make(chan struct{})
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	go func() {
		defer close(done)
		_ = srv.Serve(at)
	}()
	return srv
}

// dialGRPC connects to the service name at a place.
func dialGRPC(t *testing.T, at place, name string, is ...interceptors.ClientInterceptor) *interceptors.Client {
	t.Helper()
	c, err := interceptors.NewClient("passthrough:///"+name, interceptors.WithPlaintext(), interceptors.WithClientInterceptors(is...),
		interceptors.WithDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return at.dial(ctx) })))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serveHTTP starts an HTTP server at a place, which is there until the test is over.
func serveHTTP(t *testing.T, at place, h http.Handler, mws ...httpmw.Middleware) {
	t.Helper()
	srv, err := httpmw.NewServer(":80", httpmw.Chain(h, mws...), httpmw.WithPlaintext(),
		httpmw.WithReadTimeout(time.Hour), httpmw.WithWriteTimeout(time.Hour), httpmw.WithErrorLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	go func() {
		defer close(done)
		_ = httpmw.Serve(srv, at)
	}()
}

// dialHTTP returns the client of the service name at a place. Its only time limits
// are its requests' own.
func dialHTTP(t *testing.T, at place, name string, ts ...httpmw.Transport) *http.Client {
	t.Helper()
	c, err := httpmw.NewClient(name, httpmw.WithPlaintext(), httpmw.WithTransports(ts...),
		httpmw.WithoutTimeout(), httpmw.WithResponseHeaderTimeout(time.Hour), httpmw.WithMaxConnsPerHost(1<<20),
		httpmw.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { return at.dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get makes a request and returns an error unless it was served.
func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := httpmw.CheckResponse(resp); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
