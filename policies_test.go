// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/fallback"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// flaky fails its first calls.
type flaky struct {
	testgrpc.UnimplementedTestServiceServer
	fail  int32
	calls atomic.Int32
}

func (f *flaky) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if f.calls.Add(1) <= f.fail {
		return nil, status.Error(codes.Unavailable, "starting")
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if f.calls.Add(1) <= f.fail {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

var quick = policies.Retry(retry.WithBackoff(time.Millisecond, time.Millisecond))

// TestClientsHavePolicies: without a word about policies, calls are retried; and
// metrics, span and log line say so under the name of the service.
func TestClientsHavePolicies(t *testing.T) {
	for _, protocol := range []string{"gRPC", "HTTP"} {
		t.Run(protocol, func(t *testing.T) {
			tel, logs, f := newSDK(), &syncBuffer{}, &flaky{fail: 2}
			svc := mustNew(t, "front", fairlead.WithPlaintext(), fairlead.WithAdmin(""), fairlead.WithTelemetry(tel.start),
				fairlead.WithLogHandler(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
				fairlead.WithPolicies(policies.WithDefaults(quick)))
			defer svc.Close()
			if err := callBack(t, svc, protocol, f); err != nil {
				t.Fatal(err)
			}
			if n := f.calls.Load(); n != 3 {
				t.Errorf("%d calls arrived, want 3", n)
			}
			if line := logs.String(); !strings.Contains(line, `"attempts":3`) {
				t.Errorf("the call's line does not say that there were 3 attempts: %s", line)
			}
			events := 0
			for _, s := range tel.spans.Ended() {
				for _, e := range s.Events() {
					if e.Name == "retry" {
						events++
					}
				}
			}
			if events < 2 {
				t.Errorf("%d retry events on the span, want one for each failed attempt: 2", events)
			}
			text := scrape(t, svc)
			for _, want := range []string{
				`fairlead_breaker_state{name="back",state="closed"} 1`,
				`fairlead_retry_budget_remaining{name="back"}`,
				`outcome="transient",policy="retry"`,
			} {
				if !strings.Contains(text, want) {
					t.Errorf("/metrics has no %s", want)
				}
			}
		})
	}
}

// TestBreakerOfClients: a service that fails is left alone, its caller gets a
// refusal, and the operator can close the breaker.
func TestBreakerOfClients(t *testing.T) {
	for _, protocol := range []string{"gRPC", "HTTP"} {
		t.Run(protocol, func(t *testing.T) {
			f := &flaky{fail: 2}
			svc := mustNew(t, "front", fairlead.WithPlaintext(), fairlead.WithAdmin(""), fairlead.WithLogHandler(slog.DiscardHandler),
				fairlead.WithPolicies(policies.WithService("back", policies.NoRetry(), policies.Breaker(breaker.WithMinCalls(2)))))
			defer svc.Close()
			for range 2 {
				_ = callBack(t, svc, protocol, f)
			}
			if err := callBack(t, svc, protocol, f); !errors.Is(err, gobreaker.ErrOpenState) {
				t.Fatalf("err = %v, want one that matches gobreaker.ErrOpenState", err)
			}
			if n := f.calls.Load(); n != 2 {
				t.Errorf("%d calls arrived, want 2", n)
			}
			back, ok := svc.Policies().Lookup("back")
			if !ok {
				t.Fatal("no policies for back")
			}
			back.Breaker().Reset(t.Context())
			if err := callBack(t, svc, protocol, f); err != nil {
				t.Errorf("after a reset: %v", err)
			}
		})
	}
}

// callBack calls a service named back once, on a connection of its own.
func callBack(t *testing.T, svc *fairlead.Service, protocol string, f *flaky) error {
	t.Helper()
	if protocol == "gRPC" {
		return f.overGRPC(t, svc, func(cc grpc.ClientConnInterface) error {
			_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			return err
		})
	}
	return f.overHTTP(t.Context(), svc)
}

// overGRPC serves f, and has call use a connection to it.
func (f *flaky) overGRPC(t *testing.T, svc *fairlead.Service, call func(grpc.ClientConnInterface) error, opts ...interceptors.ClientOption) error {
	t.Helper()
	back := mustNew(t, "back", fairlead.WithPlaintext(), fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithAdmin(""), fairlead.WithLogHandler(slog.DiscardHandler))
	testgrpc.RegisterTestServiceServer(back.GRPC(), f)
	stop := run(t, back)
	cc, err := svc.DialAs("back", back.Addr("grpc"), opts...)
	if err != nil {
		return errors.Join(err, stop())
	}
	defer func() {
		_ = cc.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	return call(cc)
}

// overHTTP serves f, and asks it once.
func (f *flaky) overHTTP(ctx context.Context, svc *fairlead.Service, opts ...httpmw.ClientOption) error {
	back := httptest.NewServer(f)
	defer back.Close()
	client, err := svc.HTTPClient("back", opts...)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, back.URL, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return httpmw.CheckResponse(resp)
}

// scrape returns the service's metrics as text.
func scrape(t *testing.T, svc *fairlead.Service) string {
	t.Helper()
	families, err := svc.MetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			b.WriteString(f.GetName() + "{")
			for i, l := range m.GetLabel() {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(l.GetName() + `="` + l.GetValue() + `"`)
			}
			b.WriteByte('}')
			if g := m.GetGauge(); g != nil && g.GetValue() == 1 {
				b.WriteString(" 1")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// TestAdmission: a service refuses what its policies do not admit, each of them over
// both protocols, says so, and answers its probes all the same.
func TestAdmission(t *testing.T) {
	for name, tc := range map[string]struct {
		option policies.ServerOption
		code   codes.Code
		status int
		is     error
	}{
		"rate":        {policies.RateLimit(0.001, 1), codes.ResourceExhausted, http.StatusTooManyRequests, resilience.ErrRateLimited},
		"concurrency": {policies.Concurrency(1), codes.ResourceExhausted, http.StatusTooManyRequests, resilience.ErrOverloaded},
		"shed":        {policies.Shed(shed.WithInitialLimit(1), shed.WithMinLimit(1), shed.WithMaxLimit(1)), codes.Unavailable, http.StatusServiceUnavailable, resilience.ErrOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			back := mustNew(t, "back", fairlead.WithPlaintext(), fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"),
				fairlead.WithLogHandler(slog.DiscardHandler), fairlead.WithPolicies(policies.WithServer(tc.option)))
			busy, leave := make(chan struct{}, 1), make(chan struct{})
			testgrpc.RegisterTestServiceServer(back.GRPC(), &holding{busy: busy, leave: leave})
			back.HTTP().HandleFunc("GET /", func(http.ResponseWriter, *http.Request) {})
			stop := run(t, back)
			front := mustNew(t, "front", fairlead.WithPlaintext(), fairlead.WithAdmin(""), fairlead.WithLogHandler(slog.DiscardHandler),
				fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry(), policies.NoBreaker())))
			cc, err := front.DialAs("back", back.Addr("grpc"))
			if err != nil {
				t.Fatal(err)
			}
			client := testgrpc.NewTestServiceClient(cc)
			first := make(chan error, 1)
			go func() {
				_, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
				first <- err
			}()
			<-busy

			_, err = client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if status.Code(err) != tc.code || !errors.Is(err, tc.is) {
				t.Errorf("gRPC: %v, want %v and %v", err, tc.code, tc.is)
			}
			hc, err := front.HTTPClient("back")
			if err != nil {
				t.Fatal(err)
			}
			get(t, hc, "http://"+back.Addr("http")+"/readyz", http.StatusOK)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+back.Addr("http")+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			err = httpmw.CheckResponse(resp)
			if resp.StatusCode != tc.status || !errors.Is(err, tc.is) {
				t.Errorf("HTTP: %v, want %d and %v", err, tc.status, tc.is)
			}
			_ = resp.Body.Close()
			if text := scrape(t, back); !strings.Contains(text, `fairlead_policy_rejections_total{name="back"`) {
				t.Error("/metrics does not tell of the refusals")
			}
			close(leave)
			if err := errors.Join(<-first, front.Close(), stop()); err != nil {
				t.Error(err)
			}
		})
	}
}

// holding answers when it may.
type holding struct {
	testgrpc.UnimplementedTestServiceServer
	busy  chan<- struct{}
	leave <-chan struct{}
}

func (h *holding) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	h.busy <- struct{}{}
	<-h.leave
	return &testgrpc.SimpleResponse{}, nil
}

// TestFallbacks: a degraded reply stands in when all attempts have failed, and the
// caller of the service is told so.
func TestFallbacks(t *testing.T) {
	for _, protocol := range []string{"gRPC", "HTTP"} {
		t.Run(protocol, func(t *testing.T) {
			back := &flaky{fail: 100}
			tel, logs := newSDK(), &syncBuffer{}
			front := mustNew(t, "front", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithTelemetry(tel.start),
				fairlead.WithLogHandler(slog.NewJSONHandler(logs, nil)), fairlead.WithPolicies(policies.WithDefaults(quick)))
			front.HTTP().HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
				if err := callWithFallback(t, r.Context(), front, protocol, back); err != nil {
					httpmw.WriteError(w, r, err)
				}
			})
			stop := run(t, front)
			resp, err := http.Get("http://" + front.Addr("http") + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if resp.StatusCode != http.StatusOK || resp.Header.Get(httpmw.HeaderDegraded) != "true" {
				t.Errorf("status %d, header %v; want 200, marked as degraded", resp.StatusCode, resp.Header)
			}
			if n := back.calls.Load(); n != 3 {
				t.Errorf("%d calls arrived, want 3: the fallback comes after all attempts", n)
			}
			if text := scrape(t, front); !strings.Contains(text, `fairlead_fallbacks_total{name="unknown stock"}`) {
				t.Error("/metrics does not tell of the fallback")
			}
			if n := strings.Count(logs.String(), `"degraded":"unknown stock"`); n != 1 { // the client's own line is at debug
				t.Errorf("%d lines say that the reply is degraded, want that of the request: %s", n, logs)
			}
			degraded := 0
			for _, s := range tel.spans.Ended() {
				for _, kv := range s.Attributes() {
					if kv.Key == "fairlead.degraded" {
						degraded++
					}
				}
			}
			if degraded != 2 {
				t.Errorf("%d spans are marked as degraded, want 2: the request's and the call's", degraded)
			}
		})
	}
}

// callWithFallback calls a service named back that a fallback stands in for.
func callWithFallback(t *testing.T, ctx context.Context, svc *fairlead.Service, protocol string, f *flaky) error {
	t.Helper()
	if protocol == "gRPC" {
		stock, err := fallback.New("unknown stock", fallback.Value(&testgrpc.SimpleResponse{Username: "unknown"}), fallback.WithObserver(svc.Observer()))
		if err != nil {
			return err
		}
		return f.overGRPC(t, svc, func(cc grpc.ClientConnInterface) error {
			resp, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{})
			if err == nil && resp.GetUsername() != "unknown" {
				return errors.New("not the stand-in")
			}
			return err
		}, interceptors.WithFallbacks(interceptors.Fallback(stock)))
	}
	stock, err := fallback.New("unknown stock", fallback.Value(httpmw.Reply{Body: []byte("unknown")}), fallback.WithObserver(svc.Observer()))
	if err != nil {
		return err
	}
	return f.overHTTP(ctx, svc, httpmw.WithFallbacks(httpmw.FallbackTransport(stock)))
}

// TestBadPolicies: what makes no sense is an error of New.
func TestBadPolicies(t *testing.T) {
	_, err := fairlead.New("front", fairlead.WithPolicies(
		policies.WithService("back", policies.Retry(retry.WithMaxAttempts(0), retry.WithRetryOn(resilience.OutcomeClientFault)))))
	if err == nil || !strings.Contains(err.Error(), `"back"`) || !strings.Contains(err.Error(), "max attempts 0") || !strings.Contains(err.Error(), "client_fault") {
		t.Errorf("err = %v, want both mistakes, and where they are", err)
	}
}
