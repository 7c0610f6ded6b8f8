// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// policyCalls is how often each of the tests below calls.
const policyCalls = 20

// TestPolicyStack runs calls that take several attempts through the whole stack:
// every call is one span, one line and one observation, with as many attempts in
// each as there were.
func TestPolicyStack(t *testing.T) {
	for _, tc := range []struct {
		name     string
		attempts float64 // of each call
		play     func(*testing.T, *telemetrytest.Recorder, sdktrace.Sampler)
	}{
		{"rpc retry", 3, func(t *testing.T, rec *telemetrytest.Recorder, s sdktrace.Sampler) {
			playPoliciesRPC(t, rec, s, &moody{}, interceptors.Retry(retrying(t)), unary)
		}},
		{"rpc retried stream", 3, func(t *testing.T, rec *telemetrytest.Recorder, s sdktrace.Sampler) {
			playPoliciesRPC(t, rec, s, &moody{}, interceptors.Retry(retrying(t)), oneStream)
		}},
		{"rpc hedge", 2, func(t *testing.T, rec *telemetrytest.Recorder, s sdktrace.Sampler) {
			playPoliciesRPC(t, rec, s, &moody{hangs: true}, interceptors.Hedge(hedging(t)), unary)
		}},
		{"http retry", 3, func(t *testing.T, rec *telemetrytest.Recorder, s sdktrace.Sampler) {
			playPoliciesHTTP(t, rec, s, &moody{}, httpmw.RetryTransport(retrying(t)))
		}},
		{"http hedge", 2, func(t *testing.T, rec *telemetrytest.Recorder, s sdktrace.Sampler) {
			playPoliciesHTTP(t, rec, s, &moody{hangs: true}, httpmw.HedgeTransport(hedging(t)))
		}},
	} {
		for name, sampler := range map[string]sdktrace.Sampler{
			"sampled":   sdktrace.ParentBased(sdktrace.AlwaysSample()),
			"a half":    sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.5)),
			"unsampled": sdktrace.NeverSample(),
		} {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				rec := telemetrytest.NewRecorder()
				tc.play(t, rec, sampler)
				run := rec.Run(t)
				telemetrytest.Check(t, run)
				several := run.Logs().Where(func(l *telemetrytest.Line) bool {
					n, ok := l.Attr("attempts")
					return ok && l.Service == "gateway" && n == tc.attempts
				})
				if several.Len() != policyCalls {
					t.Errorf("%d lines say %v attempts, want %d", several.Len(), tc.attempts, policyCalls)
				}
			})
		}
	}
}

func retrying(t *testing.T) *retry.Policy {
	p, err := retry.New("stock", retry.WithBackoff(time.Millisecond, time.Millisecond), retry.WithoutBudget(),
		retry.WithObserver(record.PolicyEvents()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hedging(t *testing.T) *hedge.Policy {
	p, err := hedge.New("stock", hedge.WithDelay(5*time.Millisecond), hedge.WithoutBudget(),
		hedge.WithObserver(record.PolicyEvents()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// moody is a service that answers every third time or, if it hangs, every second.
type moody struct {
	testgrpc.UnimplementedTestServiceServer
	hangs bool
	asked atomic.Int64
}

// answers reports whether the service does, or waits until nobody wants to know.
func (m *moody) answers(ctx context.Context) bool {
	n := m.asked.Add(1)
	if !m.hangs {
		return n%3 == 0
	}
	if n%2 == 1 {
		<-ctx.Done()
	}
	return n%2 == 0
}

func (m *moody) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if !m.answers(ctx) {
		return nil, status.Error(codes.Unavailable, "later")
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (m *moody) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	if !m.answers(ss.Context()) {
		return status.Error(codes.Unavailable, "later")
	}
	return ss.Send(&testgrpc.StreamingOutputCallResponse{})
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.answers(r.Context()) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "stock")
}

func unary(ctx context.Context, c testgrpc.TestServiceClient) error {
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return err
}

func oneStream(ctx context.Context, c testgrpc.TestServiceClient) error {
	s, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
	for err == nil {
		_, err = s.Recv()
	}
	if err == io.EOF { //nolint:errorlint // as it comes
		return nil
	}
	return err
}

func playPoliciesRPC(t *testing.T, rec *telemetrytest.Recorder, sampler sdktrace.Sampler, stock *moody,
	policy interceptors.ClientInterceptor, call func(context.Context, testgrpc.TestServiceClient) error,
) {
	serverRecord, _ := recorded(t, rec, "stock", sampler)
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(interceptors.ServerOptions(interceptors.Record(serverRecord))...)
	testgrpc.RegisterTestServiceServer(srv, stock)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(lis) })
	defer wg.Wait()
	defer srv.GracefulStop()

	clientRecord, _ := recorded(t, rec, "gateway", sampler)
	cc, err := grpc.NewClient("passthrough:///stock", append(
		interceptors.DialOptions(interceptors.Record(clientRecord), policy, interceptors.Attempts(clientRecord)),
		grpc.WithDisableRetry(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	for range policyCalls {
		if err := call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Error(err)
		}
	}
}

func playPoliciesHTTP(t *testing.T, rec *telemetrytest.Recorder, sampler sdktrace.Sampler, stock *moody, policy httpmw.Transport) {
	serverRecord, _ := recorded(t, rec, "stock", sampler)
	srv := httptest.NewServer(httpmw.Chain(stock, httpmw.Record(serverRecord)))
	defer srv.Close()
	clientRecord, _ := recorded(t, rec, "gateway", sampler)
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: httpmw.ChainTransport(base,
		httpmw.RecordTransport(clientRecord, "stock"), policy, httpmw.AttemptTransport(clientRecord))}
	for range policyCalls {
		resp, err := client.Get(srv.URL + "/items/7")
		if err != nil {
			t.Error(err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
