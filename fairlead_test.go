// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead"
)

// TestMain lets more tests run at the same time than there are processors: most of
// those that may do nothing but wait for an end.
func TestMain(m *testing.M) {
	if os.Getenv(signaled) != "" {
		serveUntilSignaled()
	}
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// sdk is a Telemetry whose spans are kept.
type sdk struct {
	spans    *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
	shutdown int
	err      error // of Shutdown
}

func newSDK() *sdk {
	s := &sdk{spans: tracetest.NewSpanRecorder()}
	s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	return s
}

func (s *sdk) start(context.Context, string, prometheus.Gatherer) (*sdk, error) { return s, nil }
func (s *sdk) TracerProvider() trace.TracerProvider                             { return s.provider }
func (s *sdk) Propagator() propagation.TextMapPropagator                        { return propagation.TraceContext{} }
func (s *sdk) SlogHandler() slog.Handler                                        { return nil }
func (s *sdk) Shutdown(context.Context) error                                   { s.shutdown++; return s.err }

// syncBuffer is a buffer that several services log to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type echo struct {
	testgrpc.UnimplementedTestServiceServer
	logger *slog.Logger
}

func (e *echo) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	e.logger.InfoContext(ctx, "handling")
	return &testgrpc.SimpleResponse{Username: "me"}, nil
}

// run runs svc until the returned function is called, which returns Run's error.
func run(t *testing.T, svc *fairlead.Service) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func mustNew(t *testing.T, name string, opts ...fairlead.Option) *fairlead.Service {
	t.Helper()
	svc, err := fairlead.New(name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// TestOneTraceThroughTwoServices: HTTP in, gRPC on, one trace, correlated logs,
// metrics, health, and an orderly end.
func TestOneTraceThroughTwoServices(t *testing.T) {
	tel, logs := newSDK(), &syncBuffer{}
	handler := slog.NewJSONHandler(logs, nil)
	back := mustNew(t, "back", fairlead.WithPlaintext(), fairlead.WithGRPC("127.0.0.1:0"),
		fairlead.WithTelemetry(tel.start), fairlead.WithLogHandler(handler))
	testgrpc.RegisterTestServiceServer(back.GRPC(), &echo{logger: back.Logger()})
	stopBack := run(t, back)

	front := mustNew(t, "front", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithTelemetry(tel.start), fairlead.WithLogHandler(handler),
		fairlead.WithCheck("db", func(context.Context) error { return nil }))
	cc, err := front.Dial("passthrough:///" + back.Addr("grpc"))
	if err != nil {
		t.Fatal(err)
	}
	client := testgrpc.NewTestServiceClient(cc)
	front.HTTP().HandleFunc("GET /who/{id}", func(w http.ResponseWriter, r *http.Request) {
		resp, err := client.UnaryCall(r.Context(), &testgrpc.SimpleRequest{})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(w, resp.GetUsername())
	})
	stopFront := run(t, front)

	caller := mustNew(t, "caller", fairlead.WithPlaintext(), fairlead.WithTelemetry(tel.start),
		fairlead.WithLogHandler(handler), fairlead.WithAdmin(""))
	hc, err := caller.HTTPClient("front")
	if err != nil {
		t.Fatal(err)
	}
	body := get(t, hc, "http://"+front.Addr("http")+"/who/7", http.StatusOK)
	if body != "me" {
		t.Errorf("body %q, want me", body)
	}
	metrics := get(t, hc, "http://"+front.Addr("admin")+"/metrics", http.StatusOK)
	if want := `http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/who/{id}"`; !strings.Contains(metrics, want) {
		t.Errorf("/metrics has no %s", want)
	}
	if err := front.Health().Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready := get(t, hc, "http://"+front.Addr("http")+"/readyz", http.StatusOK)
	if !strings.Contains(ready, `"db":"ok"`) || !strings.Contains(ready, `"db_ping_ms":`) {
		t.Errorf("/readyz: %s", ready)
	}
	if err := errors.Join(stopFront(), stopBack(), caller.Close()); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if tel.shutdown != 3 {
		t.Errorf("telemetry was shut down %d times, want once a service: 3", tel.shutdown)
	}

	var traceID trace.TraceID
	for _, s := range tel.spans.Ended() {
		if s.Name() == "GET /who/{id}" {
			traceID = s.SpanContext().TraceID()
		}
	}
	covered := 0
	for _, s := range tel.spans.Ended() {
		if s.SpanContext().TraceID() == traceID {
			covered++
		}
	}
	if covered != 6 {
		t.Errorf("the trace has %d spans, want 6: two HTTP, two gRPC, and each client's one attempt", covered)
	}
	handled := 0
	for line := range strings.Lines(logs.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == "handling" {
			handled++
			if m["trace_id"] != traceID.String() || m["service.name"] != "back" {
				t.Errorf("handler's line: %v; want trace_id %v of back", m, traceID)
			}
		}
	}
	if handled != 1 {
		t.Errorf("%d lines of the handler, want 1", handled)
	}
}

func get(t *testing.T, c *http.Client, url string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("%s: status %d, want %d", url, resp.StatusCode, status)
	}
	return string(body)
}

// TestDrain: a service that ends finishes what is under way, and says that it
// is not ready meanwhile.
func TestDrain(t *testing.T) {
	svc := mustNew(t, "slow", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithLogHandler(slog.DiscardHandler))
	entered, leave := make(chan struct{}), make(chan struct{})
	svc.HTTP().HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	})
	stop := run(t, svc)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	admin := "http://" + svc.Addr("admin")
	answer := make(chan string, 1)
	url := "http://" + svc.Addr("http") + "/slow"
	go func() { answer <- get(t, client, url, http.StatusOK) }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	deadline := time.Now().Add(5 * time.Second)
	for svc.Health().Check(t.Context()) == nil {
		if time.Now().After(deadline) {
			t.Fatal("still ready after it was told to stop")
		}
	}
	get(t, client, admin+"/readyz", http.StatusServiceUnavailable)
	close(leave)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way was answered %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestDrainIsBounded: a call that never ends does not keep the process.
func TestDrainIsBounded(t *testing.T) {
	svc := mustNew(t, "stuck", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithLogHandler(slog.DiscardHandler), fairlead.WithDrainTimeout(20*time.Millisecond))
	entered := make(chan struct{})
	svc.HTTP().HandleFunc("GET /stuck", func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	stop := run(t, svc)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + svc.Addr("http") + "/stuck"
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := client.Get(url)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-entered
	if err := stop(); err == nil || !strings.Contains(err.Error(), "drain timeout") {
		t.Errorf("Run = %v, want an error that names the drain timeout", err)
	}
	<-done
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []fairlead.Option
		want string
	}{
		{"", nil, `name ""`},
		{"a", []fairlead.Option{fairlead.WithHTTP("127.0.0.1:0")}, "WithTLS or, asked for by name, WithPlaintext"},
		{"a", []fairlead.Option{nil}, "nil option"},
		{"a", []fairlead.Option{fairlead.WithServerTimeout(0)}, "WithServerTimeout: 0s"},
		{"a", []fairlead.Option{fairlead.WithDrainTimeout(-1)}, "WithDrainTimeout: -1ns"},
		{"a", []fairlead.Option{fairlead.WithTLS(nil, nil)}, "nil server configuration"},
		{"a", []fairlead.Option{fairlead.WithPlaintext(), fairlead.WithHTTP("nonsense")}, "nonsense"},
		{"a", []fairlead.Option{fairlead.WithCheck("", nil)}, "nil check"},
		{"a", []fairlead.Option{fairlead.WithDrain(nil)}, "WithDrain: nil function"},
	} {
		svc, err := fairlead.New(tc.name, tc.opts...)
		if err == nil {
			_ = svc.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%q) = %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

// TestSignals: a service ends by SIGTERM, unless it is told to leave signals
// alone.
func TestSignals(t *testing.T) {
	svc := mustNew(t, "polite", fairlead.WithAdmin(""), fairlead.WithLogHandler(slog.DiscardHandler))
	deaf := mustNew(t, "deaf", fairlead.WithAdmin(""), fairlead.WithLogHandler(slog.DiscardHandler), fairlead.WithoutSignals())
	keep := make(chan os.Signal, 1)
	signal.Notify(keep, syscall.SIGTERM) // so that the test survives
	defer signal.Stop(keep)
	ctx, cancel := context.WithCancel(t.Context())
	ended, deafEnded := make(chan error, 1), make(chan error, 1)
	go func() { deafEnded <- deaf.Run(ctx) }()
	go func() { ended <- svc.Run(t.Context()) }()
	for { // until Run listens for signals
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run = %v after SIGTERM", err)
			}
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	select {
	case err := <-deafEnded:
		t.Errorf("a service without signals ended: %v", err)
	default:
	}
	cancel()
	if err := <-deafEnded; err != nil {
		t.Errorf("Run = %v after its context ended", err)
	}
}

// TestDrainOrder: what is drained comes after the last answer and before
// telemetry is flushed, whose failure does not make the service fail.
func TestDrainOrder(t *testing.T) {
	tel, logs := newSDK(), &syncBuffer{}
	tel.err = errors.New("collector away")
	var order []string
	drain := func(name string) fairlead.Option {
		return fairlead.WithDrain(func(context.Context) error {
			if tel.shutdown > 0 {
				t.Errorf("%s is drained after telemetry was flushed", name)
			}
			order = append(order, name)
			return nil
		})
	}
	svc := mustNew(t, "worker", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithTelemetry(tel.start), fairlead.WithLogHandler(slog.NewJSONHandler(logs, nil)), drain("pool"), drain("queue"))
	if svc.TracerProvider() != trace.TracerProvider(tel.provider) {
		t.Error("TracerProvider is not telemetry's")
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	svc.HTTP().HandleFunc("GET /slow", func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
		order = append(order, "answer")
	})
	stop := run(t, svc)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	done := make(chan struct{})
	url := "http://" + svc.Addr("http") + "/slow"
	go func() { defer close(done); get(t, client, url, http.StatusOK) }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(leave)
	<-done
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v, though only the collector was away", err)
	}
	if got, want := strings.Join(order, " "), "answer pool queue"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	if !strings.Contains(logs.String(), "telemetry not flushed") {
		t.Error("nobody said that telemetry was not flushed")
	}
}
