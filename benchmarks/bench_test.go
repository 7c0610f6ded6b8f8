// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"syscall"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"
)

// ballast stands for the heap of a service: with a few megabytes alone the
// collector would run many times as often as it does in production.
var ballast []byte

func TestMain(m *testing.M) {
	ballast = make([]byte, 128<<20)
	code := m.Run()
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if r.GetFillUsername() {
		panic("asked to")
	}
	return &testgrpc.SimpleResponse{Username: "u"}, nil
}

func (service) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	reply := &testgrpc.StreamingOutputCallResponse{}
	for {
		if _, err := ss.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.Send(reply); err != nil {
			return err
		}
	}
}

func client(tb testing.TB, c contender, b *bench) testgrpc.TestServiceClient {
	tb.Helper()
	so, do := c.grpc(b)
	lis := bufconn.Listen(1 << 20)
	s := grpc.NewServer(so...)
	testgrpc.RegisterTestServiceServer(s, service{})
	go func() { _ = s.Serve(lis) }()
	cc, err := grpc.NewClient("passthrough:///bench", append(do,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cc.Close(); s.Stop() })
	return testgrpc.NewTestServiceClient(cc)
}

var samplers = []struct {
	name    string
	sampler sdktrace.Sampler
}{
	{"sampled", sdktrace.AlwaysSample()},
	{"unsampled", sdktrace.NeverSample()},
}

// each runs f for every contender and sampler.
func each(b *testing.B, f func(b *testing.B, c contender, to *bench)) {
	for _, s := range samplers {
		for _, c := range contenders {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				f(b, c, newBench(s.sampler, discard{}, io.Discard))
			})
		}
	}
}

// caller returns the context of a request that has a span.
func (t *bench) caller(ctx context.Context) context.Context {
	ctx, _ = t.provider.Tracer("caller").Start(ctx, "caller")
	return ctx
}

func BenchmarkUnary(b *testing.B) {
	each(b, func(b *testing.B, c contender, to *bench) {
		cl, ctx, req := client(b, c, to), to.caller(b.Context()), &testgrpc.SimpleRequest{}
		measure(b, func() {
			if _, err := cl.UnaryCall(ctx, req); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkStreamMessage is one message there and one back on a stream that is open.
func BenchmarkStreamMessage(b *testing.B) {
	each(b, func(b *testing.B, c contender, to *bench) {
		stream, err := client(b, c, to).FullDuplexCall(to.caller(b.Context()))
		if err != nil {
			b.Fatal(err)
		}
		req := &testgrpc.StreamingOutputCallRequest{}
		measure(b, func() {
			if err := stream.Send(req); err != nil {
				b.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkHTTPServer is the server's middleware alone, without a socket.
func BenchmarkHTTPServer(b *testing.B) {
	each(b, func(b *testing.B, c contender, to *bench) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		h := c.server(to, mux)
		req := httptest.NewRequest(http.MethodGet, "/orders/7", nil)
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		w := &nowhere{header: http.Header{}}
		measure(b, func() {
			clear(w.header)
			h.ServeHTTP(w, req)
		})
	})
}

type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}

// measure runs f and reports process CPU time beside the usual figures.
func measure(b *testing.B, f func()) {
	f()
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the process's CPU time in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
