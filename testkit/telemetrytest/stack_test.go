// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// recorded returns a call recorder and a logger of a service whose signals go to rec.
func recorded(t *testing.T, rec *telemetrytest.Recorder, service string, sampler sdktrace.Sampler) (*record.Recorder, *slog.Logger) {
	t.Helper()
	reg := prometheus.NewRegistry()
	rec.AddMetrics(service, reg)
	set, err := metrics.New(reg, metrics.WithExemplarInterval(0))
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(logging.NewHandler(rec.LogHandler(service), logging.WithLevel(slog.LevelDebug)))
	r, err := record.New(record.WithMetrics(set), record.WithLogger(logger),
		record.WithTracerProvider(rec.TracerProvider(service, sdktrace.WithSampler(rec.Sampler(sampler)))))
	if err != nil {
		t.Fatal(err)
	}
	return r, logger
}

// stock is a service that answers as its requests' payload says.
type stock struct {
	testgrpc.UnimplementedTestServiceServer
	logger *slog.Logger
	mu     sync.Mutex
	tries  int
}

func (s *stock) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	s.logger.WithGroup("request").InfoContext(ctx, "asked", "how", string(r.GetPayload().GetBody()))
	switch string(r.GetPayload().GetBody()) {
	case "panic":
		panic("no stock\r\n\x1b[31m")
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "retry":
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.tries++; s.tries%3 != 0 {
			return nil, status.Error(codes.Unavailable, "later")
		}
	case "missing":
		return nil, status.Error(codes.NotFound, "no such thing")
	case "odd":
		return nil, status.Error(codes.Code(77), "odd")
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (s *stock) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := ss.Recv(); err != nil {
			return nil
		}
		if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

const retries = `{"methodConfig":[{"name":[{}],"retryPolicy":{
	"maxAttempts":3,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

// TestRPCStack runs real calls through the whole stack: the default names of
// calls are those that package record writes, and what it writes agrees.
func TestRPCStack(t *testing.T) {
	for name, sampler := range map[string]sdktrace.Sampler{
		"sampled":   sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"a half":    sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.5)),
		"unsampled": sdktrace.NeverSample(),
	} {
		t.Run(name, func(t *testing.T) {
			rec := telemetrytest.NewRecorder()
			playRPC(t, rec, sampler)
			run := rec.Run(t)
			telemetrytest.Check(t, run)
			if calls := run.Logs().With("rpc server call").Len(); calls < 50 {
				t.Errorf("only %d lines of calls served", calls)
			}
			if name != "sampled" {
				return
			}
			if got := len(run.Spans()); got < 150 {
				t.Errorf("only %d spans", got)
			}
			all := run.Traces().With("grpc.testing.TestService/UnaryCall")
			all.With("Attempt.grpc.testing.TestService.UnaryCall").Covers("gateway", "stock").NoOrphans()
			all.All()[0].Span("grpc.testing.TestService/UnaryCall").IsAncestorOf("Attempt.grpc.testing.TestService.UnaryCall")
			// The same run must not pass once a part of it is missing.
			if got := run.Problems(telemetrytest.NotACall(func(s *telemetrytest.Span) bool { return s.Service == "stock" })); len(got) < 50 {
				t.Errorf("with no call of stock known, only %d problems", len(got))
			}
		})
	}
}

func playRPC(t *testing.T, rec *telemetrytest.Recorder, sampler sdktrace.Sampler) {
	serverRecord, logger := recorded(t, rec, "stock", sampler)
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(interceptors.ServerOptions(interceptors.Record(serverRecord), interceptors.Recovery())...)
	testgrpc.RegisterTestServiceServer(srv, &stock{logger: logger})
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(lis) })
	defer wg.Wait()
	defer srv.GracefulStop()

	clientRecord, _ := recorded(t, rec, "gateway", sampler)
	cc, err := grpc.NewClient("passthrough:///stock", append(interceptors.DialOptions(interceptors.Record(clientRecord)),
		interceptors.GRPCAttempts(clientRecord),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	client := testgrpc.NewTestServiceClient(cc)
	for range 10 {
		for _, how := range []string{"ok", "panic", "wait", "retry", "missing", "odd"} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("waited long enough"))
			if how != "wait" {
				ctx = context.WithoutCancel(ctx)
			}
			_, _ = client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: []byte(how)}})
			cancel()
		}
		_ = cc.Invoke(t.Context(), "/made.Up/"+time.Now().String(), &testgrpc.SimpleRequest{}, &testgrpc.SimpleResponse{})
		stream(t, client)
	}
}

// stream plays one stream that ends well and one that the client leaves.
func stream(t *testing.T, client testgrpc.TestServiceClient) {
	for _, leave := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		if leave {
			cancel()
		}
		_ = s.CloseSend()
		for err == nil {
			_, err = s.Recv()
		}
		cancel()
	}
}
