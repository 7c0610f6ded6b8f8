// SPDX-License-Identifier: Apache-2.0

package otlptest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Collector is a running or stopped collector; its methods are safe for
// concurrent use.
type Collector struct {
	addr  string
	serve func(net.Listener) (stop func())

	mu      sync.Mutex
	stop    func()
	traces  []*traces.ResourceSpans
	metrics []*metrics.ResourceMetrics
	logs    []*logs.ResourceLogs
	headers map[string][]string
	order   []string
	changed chan struct{}
	hang    chan struct{} // while set, requests wait for it
}

// NewGRPC starts a collector that speaks gRPC, and stops it when the test ends.
func NewGRPC(tb testing.TB) *Collector {
	c := newCollector()
	c.serve = func(l net.Listener) func() {
		s := grpc.NewServer()
		tracepb.RegisterTraceServiceServer(s, traceService{c: c})
		metricspb.RegisterMetricsServiceServer(s, metricsService{c: c})
		logspb.RegisterLogsServiceServer(s, logsService{c: c})
		return serve(func() { _ = s.Serve(l) }, s.Stop)
	}
	return c.begin(tb)
}

// NewHTTP starts a collector that speaks HTTP/protobuf, and stops it when the test ends.
func NewHTTP(tb testing.TB) *Collector {
	c := newCollector()
	mux := http.NewServeMux()
	mux.Handle("POST /v1/traces", handle(c.addTraces))
	mux.Handle("POST /v1/metrics", handle(c.addMetrics))
	mux.Handle("POST /v1/logs", handle(c.addLogs))
	c.serve = func(l net.Listener) func() {
		s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
		return serve(func() { _ = s.Serve(l) }, func() { _ = s.Close() })
	}
	return c.begin(tb)
}

func newCollector() *Collector {
	return &Collector{addr: "127.0.0.1:0", changed: make(chan struct{}), headers: make(map[string][]string)}
}

func (c *Collector) begin(tb testing.TB) *Collector {
	tb.Helper()
	c.Start(tb)
	tb.Cleanup(c.Stop)
	return c
}

// serve runs a server on a goroutine; the function returned stops it and waits.
func serve(run, stop func()) func() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	return func() {
		stop()
		<-done
	}
}

// Start starts a stopped collector again, on the address it had.
func (c *Collector) Start(tb testing.TB) {
	tb.Helper()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		tb.Fatalf("otlptest: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addr = l.Addr().String()
	c.stop = c.serve(l)
}

// Stop closes the listener and all connections. It may be called twice.
func (c *Collector) Stop() {
	c.Resume()
	c.mu.Lock()
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Hang keeps every request waiting until Resume or its own end.
func (c *Collector) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hang = make(chan struct{})
}

// Resume ends Hang.
func (c *Collector) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hang != nil {
		close(c.hang)
		c.hang = nil
	}
}

// URL returns the endpoint.
func (c *Collector) URL() string { return "http://" + c.Addr() }

// Addr returns host and port.
func (c *Collector) Addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

// Spans returns all spans so far.
func (c *Collector) Spans() (out []*traces.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.traces {
		for _, s := range r.GetScopeSpans() {
			out = append(out, s.GetSpans()...)
		}
	}
	return out
}

// SpanNames returns the sorted names of all spans so far.
func (c *Collector) SpanNames() (out []string) {
	for _, s := range c.Spans() {
		out = append(out, s.GetName())
	}
	slices.Sort(out)
	return out
}

// Logs returns all log records so far.
func (c *Collector) Logs() (out []*logs.LogRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.logs {
		for _, s := range r.GetScopeLogs() {
			out = append(out, s.GetLogRecords()...)
		}
	}
	return out
}

// Metrics returns the last state of every metric, by name.
func (c *Collector) Metrics() map[string]*metrics.Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]*metrics.Metric)
	for _, r := range c.metrics {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				out[m.GetName()] = m
			}
		}
	}
	return out
}

// Resource returns the attributes of the resource of the last spans.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]string)
	if len(c.traces) > 0 {
		for _, kv := range c.traces[len(c.traces)-1].GetResource().GetAttributes() {
			out[kv.GetKey()] = kv.GetValue().GetStringValue()
		}
	}
	return out
}

// Header returns the values of a header or metadata key of the last request that had it.
func (c *Collector) Header(key string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers[http.CanonicalHeaderKey(key)]
}

// Order returns the signals in the order in which requests came.
func (c *Collector) Order() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// WaitFor waits until ok, which is asked after every request, and fails the
// test if that takes longer than a generous while.
func (c *Collector) WaitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	timeout := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			tb.Fatalf("otlptest: no %s", what)
		}
	}
}

// wait holds a request while the collector hangs.
func (c *Collector) wait(ctx context.Context) error {
	c.mu.Lock()
	hang := c.hang
	c.mu.Unlock()
	if hang == nil {
		return nil
	}
	select {
	case <-hang:
		return errors.New("otlptest: resumed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Collector) add(ctx context.Context, signal string, headers map[string][]string, add func()) error {
	if err := c.wait(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range headers {
		c.headers[http.CanonicalHeaderKey(k)] = v
	}
	c.order = append(c.order, signal)
	add()
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func (c *Collector) addTraces(ctx context.Context, h map[string][]string, r *tracepb.ExportTraceServiceRequest) (proto.Message, error) {
	err := c.add(ctx, "traces", h, func() { c.traces = append(c.traces, r.GetResourceSpans()...) })
	return &tracepb.ExportTraceServiceResponse{}, err
}

func (c *Collector) addMetrics(ctx context.Context, h map[string][]string, r *metricspb.ExportMetricsServiceRequest) (proto.Message, error) {
	err := c.add(ctx, "metrics", h, func() { c.metrics = append(c.metrics, r.GetResourceMetrics()...) })
	return &metricspb.ExportMetricsServiceResponse{}, err
}

func (c *Collector) addLogs(ctx context.Context, h map[string][]string, r *logspb.ExportLogsServiceRequest) (proto.Message, error) {
	err := c.add(ctx, "logs", h, func() { c.logs = append(c.logs, r.GetResourceLogs()...) })
	return &logspb.ExportLogsServiceResponse{}, err
}

type (
	traceService struct {
		tracepb.UnimplementedTraceServiceServer
		c *Collector
	}
	metricsService struct {
		metricspb.UnimplementedMetricsServiceServer
		c *Collector
	}
	logsService struct {
		logspb.UnimplementedLogsServiceServer
		c *Collector
	}
)

func incoming(ctx context.Context) map[string][]string {
	md, _ := metadata.FromIncomingContext(ctx)
	return maps.Clone(map[string][]string(md))
}

func (s traceService) Export(ctx context.Context, r *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	_, err := s.c.addTraces(ctx, incoming(ctx), r)
	return &tracepb.ExportTraceServiceResponse{}, err
}

func (s metricsService) Export(ctx context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	_, err := s.c.addMetrics(ctx, incoming(ctx), r)
	return &metricspb.ExportMetricsServiceResponse{}, err
}

func (s logsService) Export(ctx context.Context, r *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse, error) {
	_, err := s.c.addLogs(ctx, incoming(ctx), r)
	return &logspb.ExportLogsServiceResponse{}, err
}

// message is a pointer to a request type.
type message[T any] interface {
	*T
	proto.Message
}

func handle[T any, M message[T]](
	add func(context.Context, map[string][]string, M) (proto.Message, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r)
		request := M(new(T))
		if err == nil {
			err = proto.Unmarshal(body, request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := add(r.Context(), r.Header, request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		out, err := proto.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(out)
	})
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
