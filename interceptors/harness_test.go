// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a test service whose methods are functions.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	unary  func(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error)
	duplex func(testgrpc.TestService_FullDuplexCallServer) error
	input  func(testgrpc.TestService_StreamingInputCallServer) error
}

func (s *service) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if s.unary == nil {
		return &testgrpc.SimpleResponse{}, nil
	}
	return s.unary(ctx, r)
}

func (s *service) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	if s.duplex != nil {
		return s.duplex(ss)
	}
	for {
		if _, err := ss.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

func (s *service) StreamingInputCall(ss testgrpc.TestService_StreamingInputCallServer) error {
	return s.input(ss)
}

// telemetry captures what a recorder writes.
type telemetry struct {
	spans    *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
	registry *prometheus.Registry
	logs     *lines
	recorder *record.Recorder
}

// lines collects JSON log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// all returns the lines logged so far.
func (l *lines) all(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

// withMessage returns the one line with a message.
func (l *lines) withMessage(t *testing.T, msg string) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, m := range l.all(t) {
		if m["msg"] == msg {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines with message %q, want 1; all lines: %v", len(found), msg, l.all(t))
	}
	return found[0]
}

func newTelemetry(t testing.TB, sampler sdktrace.Sampler, opts ...record.Option) *telemetry {
	t.Helper()
	tel := &telemetry{spans: tracetest.NewSpanRecorder(), registry: prometheus.NewRegistry(), logs: &lines{}}
	tel.provider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(tel.spans))
	set, err := metrics.New(tel.registry)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(logging.NewHandler(slog.NewJSONHandler(tel.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	tel.recorder, err = record.New(append([]record.Option{
		record.WithTracerProvider(tel.provider), record.WithMetrics(set), record.WithLogger(logger),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

// ended returns the ended spans of a kind.
func (tel *telemetry) ended(kind trace.SpanKind) []sdktrace.ReadOnlySpan {
	var out []sdktrace.ReadOnlySpan
	for _, s := range tel.spans.Ended() {
		if s.SpanKind() == kind {
			out = append(out, s)
		}
	}
	return out
}

// one returns the one ended span of a kind.
func (tel *telemetry) one(t *testing.T, kind trace.SpanKind) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := tel.ended(kind)
	if len(spans) != 1 {
		t.Fatalf("%d ended spans of kind %v, want 1", len(spans), kind)
	}
	return spans[0]
}

func attrsOf(s sdktrace.ReadOnlySpan) map[attribute.Key]attribute.Value {
	m := map[attribute.Key]attribute.Value{}
	for _, kv := range s.Attributes() {
		m[kv.Key] = kv.Value
	}
	return m
}

// serve runs srv on loopback memory and returns a connection to it.
func serve(t testing.TB, srv testgrpc.TestServiceServer, so []grpc.ServerOption, do []grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	s := grpc.NewServer(so...)
	testgrpc.RegisterTestServiceServer(s, srv)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	do = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	}, do...)
	cc, err := grpc.NewClient("passthrough:///inventory", do...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		wg.Wait()
	})
	return cc
}

// recorded runs srv with tel's records on both sides, and recovery.
func recorded(t testing.TB, tel *telemetry, srv *service) testgrpc.TestServiceClient {
	t.Helper()
	cc := serve(t, srv,
		interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery()),
		interceptors.DialOptions(interceptors.Record(tel.recorder)))
	return testgrpc.NewTestServiceClient(cc)
}
